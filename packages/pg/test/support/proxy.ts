import { RecordingProxy } from "../../../../test/support/recording-proxy.ts";
import { databaseUrl } from "./database.ts";

/** In front of the PostgreSQL of this run. */
export class PostgresProxy extends RecordingProxy {
	constructor() {
		super(databaseUrl(), false);
	}

	/** The url of the database through this proxy. */
	urlOf(transport: "TCP" | "TLS" = "TCP"): string {
		return this.through(databaseUrl(transport));
	}
}
