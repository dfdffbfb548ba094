/** Why `preset: "transaction-pooler"` has the defaults that it has: each with it, and without. */
import { expect } from "chai";
import type { OpenOptions } from "../faces/face.ts";
import { ask } from "../faces/postgres-view.ts";
import { outcome, soon } from "../scenarios/scenario.ts";
import type { PgBouncer } from "../support/pgbouncer.ts";
import { beginElsewhere, connectionsOf, openPgBouncer, openPool, pooledFaces, serverUrl } from "../support/pooled-faces.ts";
import { rejection } from "../support/promises.ts";
import { untilTrue } from "../support/until-true.ts";

/** In place of a second and of five, so that a test need not wait for them. */
const WITHOUT: Partial<OpenOptions> = { validateAfterIdleMillis: 1, validateTimeoutMillis: 150 };
const hows = [
	{ how: "with the preset", isPreset: true, options: { validateTimeoutMillis: 150 } as Partial<OpenOptions> },
	{ how: "without", isPreset: false, options: { preset: undefined, ...WITHOUT } as unknown as Partial<OpenOptions> },
];

for (const face of pooledFaces) {
	describe(`${face.name} behind PgBouncer`, () => {
		for (const { how, isPreset, options } of hows) {
			const what = isPreset ? "keeps" : "closes";

			it(`${what} its idle connections while other clients have all server connections, ${how}`, async () => {
				const bouncer = await openPgBouncer({ default_pool_size: 1 });
				const subject = openPool(face, { url: bouncer.url, ...options });
				const idle = await connectionsOf(subject, 3);
				const endTransaction = await beginElsewhere(bouncer.url);
				await beenIdle();
				const answer = outcome(subject.echo("mine"));
				await untilWaiting(bouncer);
				await endTransaction();
				expect(await soon(answer, "the answer", 8_000)).to.deep.equal({ value: "mine" });
				expectKept(await connectionsOf(subject, 3), idle, isPreset);
			});

			it(`${what} its idle connections while PgBouncer is paused, ${how}`, async () => {
				const bouncer = await openPgBouncer();
				const subject = openPool(face, { url: bouncer.url, ...options });
				const idle = await connectionsOf(subject, 3);
				await bouncer.command("PAUSE");
				await beenIdle();
				const answer = outcome(subject.echo("mine"));
				await untilWaiting(bouncer);
				await bouncer.command("RESUME");
				expect(await soon(answer, "the answer", 8_000)).to.deep.equal({ value: "mine" });
				expectKept(await connectionsOf(subject, 3), idle, isPreset);
			});

			it(`${what} its other connections when an administrator ends the backend of one query, ${how}`, async () => {
				const bouncer = await openPgBouncer();
				const own = isPreset ? {} : { preset: undefined as never };
				const subject = openPool(face, { url: bouncer.url, ...own });
				const idle = await connectionsOf(subject, 3);
				const failed = rejection(subject.sleep(30_000));
				const pids = async (): Promise<number[]> => {
					const servers = await bouncer.command<{ remote_pid: string; state: string }>("SHOW SERVERS");
					return servers.filter(({ state }) => state === "active").map(({ remote_pid }) => Number(remote_pid));
				};
				await untilTrue(async () => (await pids()).length === 1, { what: "the query runs" });
				for (const pid of await pids()) await ask(serverUrl(), "select pg_terminate_backend($1)", [pid]);
				expect(await failed).to.include({ code: "57P01" });
				const kept = (await connectionsOf(subject, 3)).filter((connection) => idle.includes(connection));
				expect(kept).to.have.length(isPreset ? 2 : 0);
			});
		}
	});
}

/** Longer than what is handed out without a question. */
async function beenIdle(): Promise<void> {
	const since = performance.now();
	await untilTrue(() => performance.now() - since > 50, { what: "the connections have been idle for a while" });
}

/** Longer than a validation may take. */
async function untilWaiting(bouncer: PgBouncer): Promise<void> {
	const waits = async (): Promise<boolean> => {
		const clients = await bouncer.command<{ database: string; wait: string }>("SHOW CLIENTS");
		return clients.some(({ database, wait }) => database !== "pgbouncer" && Number(wait) >= 1);
	};
	await untilTrue(waits, { what: "a client has waited for a second", deadlineMillis: 8_000 });
}

function expectKept(connections: readonly object[], idle: readonly object[], isKept: boolean): void {
	if (isKept) expect(connections).to.have.members(idle);
	else
		for (const connection of connections) expect(idle.includes(connection), "a connection that was there before").to.equal(false);
}
