/** Everything by which a connection of mysql2 says something to its server. */
import type { Duplex } from "node:stream";
import type { Connection } from "mysql2";

/** With what is not in mysql2's types. */
export interface AttemptedConnection extends Connection {
	readonly stream: Duplex;
	close(): void;
}

/** Prepares what an attempt needs, in the process that has opened the connection, and gives the attempt. */
type Attempt = (connection: AttemptedConnection) => (() => unknown) | Promise<() => unknown>;

function quietly(promise: Promise<unknown>): Promise<unknown> {
	return promise.catch(() => {});
}

export const attempts: Record<string, Attempt> = {
	"a query": (connection) => () => quietly(connection.promise().query("select 1")),
	"a new statement": (connection) => () => quietly(connection.promise().execute("select ?", [1])),
	"a known statement": async (connection) => {
		await connection.promise().execute("select ? as known", [1]);
		return () => quietly(connection.promise().execute("select ? as known", [2]));
	},
	"a prepared statement": async (connection) => {
		const statement = await connection.promise().prepare("select ?");
		return () => quietly(statement.execute([1]));
	},
	"the close of a statement": async (connection) => {
		const statement = await connection.promise().prepare("select ?");
		return () => statement.close();
	},
	unprepare: async (connection) => {
		await connection.promise().execute("select ? as known", [1]);
		return () => connection.unprepare("select ? as known");
	},
	"a ping": (connection) => () => quietly(connection.promise().ping()),
	"a change of user": (connection) => () => quietly(connection.promise().changeUser({})),
	"a commit": async (connection) => {
		await connection.promise().beginTransaction();
		return () => quietly(connection.promise().commit());
	},
	end: (connection) => () => connection.end(),
	destroy: (connection) => () => connection.destroy(),
	close: (connection) => () => connection.close(),
	"a write to the stream": (connection) => () => void connection.stream.write("\u0001\0\0\0\u000e"),
	"writes to the stream that are corked": (connection) => () => {
		connection.stream.cork();
		connection.stream.write("\u0001\0\0\0");
		connection.stream.write("\u000e");
		connection.stream.uncork();
	},
	"the end of the stream": (connection) => () => void connection.stream.end(),
};
