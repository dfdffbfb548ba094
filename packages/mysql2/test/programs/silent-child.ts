/**
 * Opens a connection for each attempt, forks, and lets the child make the attempts:
 * `silent-child.ts URL GUARDED HOOK GO`. The file GO is the sign to fork; GO.end is the sign to end.
 */
import { existsSync } from "node:fs";
import process from "node:process";
import { afterFork } from "@forksafe/core";
import { createConnection } from "mysql2";
import { forkChild } from "../../../../test/support/fork.ts";
import { settle } from "../../../../test/support/promises.ts";
import { report } from "../../../../test/support/report.ts";
import { untilTrue } from "../../../../test/support/until-true.ts";
import { guard } from "../../src/index.ts";
import { type AttemptedConnection, attempts } from "../support/attempts.ts";

const [url, guarded, hook, sign] = process.argv.slice(2) as [string, string, string, string];
const isGuarded = guarded === "true";

const connections: AttemptedConnection[] = [];
const made: (() => unknown)[] = [];
for (const prepare of Object.values(attempts)) {
	const plain = createConnection(url);
	const connection = (isGuarded ? guard(plain) : plain) as AttemptedConnection;
	await new Promise<void>((resolve, reject) => connection.connect((error) => (error ? reject(error) : resolve())));
	made.push(await prepare(connection));
	connections.push(connection);
}
report("ready");
await untilTrue(() => existsSync(sign), { what: "the sign to fork", deadlineMillis: 20_000 });

const child = await forkChild("child", async () => {
	if (hook === "true") afterFork();
	// An unguarded connection throws when it is closed under its queries.
	process.on("uncaughtException", () => {});
	for (const connection of connections) connection.on("error", () => {});
	const done = made.map((attempt) => attempt());
	// Of an unguarded one the parent may get the answer.
	if (isGuarded) await Promise.all(done);
	await settle();
});
await child.exited;
report("the child has gone");
await untilTrue(() => existsSync(`${sign}.end`), { what: "the sign to end", deadlineMillis: 20_000 });

// The sessions of an unguarded run are not what they were.
if (isGuarded) {
	const answers = connections.map(async (connection) => {
		const [rows] = await connection.promise().query("select 'mine' as answer");
		return (rows as { answer: string }[])[0]?.answer;
	});
	report(await Promise.all(answers));
}
process.exit();
