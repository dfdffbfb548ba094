import postgres from "postgres";
import type { FaceOptions, OpenFace } from "./faces.ts";

/** It prepares every statement that its tag is given, and sends several at once over one connection. */
export function openPostgresJs({ url, max }: FaceOptions): OpenFace {
	// It takes no directory for the host of a url.
	const { hostname, port, username, password, pathname } = new URL(url);
	const sql = postgres({
		host: decodeURIComponent(hostname),
		port: Number(port),
		username: decodeURIComponent(username),
		password: decodeURIComponent(password),
		database: pathname.slice(1),
		max,
	});
	return {
		ask: {
			"select 1": () => sql`select 1 as one`,
			"select by primary key": (id) => sql`select id, name, balance from bench where id = ${id}`,
			insert: (id) => sql`insert into bench_log (bench_id, amount) values (${id}, ${1})`,
			"transaction of three statements": (id) =>
				sql.begin(async (tx) => {
					await tx`select balance from bench where id = ${id} for update`;
					await tx`update bench set balance = balance + 1 where id = ${id}`;
					await tx`insert into bench_log (bench_id, amount) values (${id}, ${1})`;
				}),
		},
		end: () => sql.end(),
	};
}
