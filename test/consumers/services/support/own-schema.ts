import pg from "pg";
import { getpid } from "../../../support/posix-fork.ts";

/** A schema for one run, so that no other run works on its jobs. */
export interface OwnSchema {
	readonly name: string;
	/** In the process that the schema was made for; in a child of it, nothing happens. */
	drop(): Promise<void>;
}

export function ownSchema({
	connectionString,
	application_name,
}: {
	connectionString: string;
	application_name: string;
}): OwnSchema {
	const name = application_name.replaceAll("-", "_");
	const pid = getpid();
	return {
		name,
		async drop() {
			if (getpid() !== pid) return;
			const client = new pg.Client({ connectionString });
			await client.connect();
			await client.query(`drop schema "${name}" cascade`);
			await client.end();
		},
	};
}
