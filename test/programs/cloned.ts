/**
 * `cloned.ts VMCLOCK`: pools with idle connections and one in a transaction, which are told of a cloned machine by the device
 * VMCLOCK. Reports the local ports of its connections; when it is a clone, what it can do then; and ends after SIGUSR2.
 */
import { once } from "node:events";
import type { Socket } from "node:net";
import { onProcessChange, useVmClock } from "@forksafe/core";
import { ForkSafePostgres } from "@forksafe/knex";
import { ForkSafePostgresDialect } from "@forksafe/kysely";
import { Pool } from "@forksafe/pg";
import knex from "knex";
import { Kysely, sql } from "kysely";
import { report } from "../support/report.ts";

const [device = ""] = process.argv.slice(2);
useVmClock(device);
const { DATABASE_URL: connectionString = "" } = process.env;
// The kernel asks after a second whether the other side is still there: a packet that a clone must not send.
const settings = { connectionString, keepAlive: true, keepAliveInitialDelayMillis: 1_000 };

const overPg = new Pool({ ...settings, max: 3, idleTimeoutMillis: 0 });
const ports: number[] = [];
overPg.on("connect", (client) => ports.push((client.connection.stream as Socket).localPort ?? 0));
const overKysely = new Kysely<unknown>({ dialect: new ForkSafePostgresDialect({ pool: overPg }) });
const overKnex = knex({
	client: ForkSafePostgres,
	connection: settings,
	pool: {
		min: 0,
		max: 1,
		idleTimeoutMillis: 60_000,
		afterCreate: (client: { connection: { stream: Socket } }, done: (error: unknown, client: unknown) => void) => {
			ports.push(client.connection.stream.localPort ?? 0);
			done(undefined, client);
		},
	},
});

const held = await overPg.connect();
await held.query("begin");
await Promise.all([sql`select pg_sleep(0.05)`.execute(overKysely), sql`select pg_sleep(0.05)`.execute(overKysely)]);
await overKnex.raw("select 1");
const ended = once(process, "SIGUSR2");
const keepsProcess = setInterval(() => {}, 1_000);
const cloned = new Promise((resolve) => void onProcessChange(resolve));
const old = [...ports];
report(old);
await cloned;
const refused = await held.query("commit").catch((error: { code?: string }) => error.code);
held.release();
const [asked] = (await overPg.query<{ n: number }>("select 1 as n")).rows;
await sql`select 1`.execute(overKysely);
await overKnex.raw("select 1");
report({ refused, asked, own: ports.length - old.length });
await ended;
clearInterval(keepsProcess);
await Promise.all([overPg.end(), overKnex.destroy()]);
