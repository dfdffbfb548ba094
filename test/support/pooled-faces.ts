import pg from "pg";
import type { Face, OpenOptions, Subject } from "../faces/face.ts";
import { knexFace } from "../faces/knex.ts";
import { kyselyFace } from "../faces/kysely.ts";
import { pgFace } from "../faces/pg.ts";
import { afterThisTest } from "./after-this-test.ts";
import { type PgBouncer, type PgBouncerSettings, startPgBouncer } from "./pgbouncer.ts";
import { postgresUrl } from "./server-urls.ts";

/** Ours over PostgreSQL. */
export const pooledFaces: readonly Face[] = [pgFace, knexFace, kyselyFace];

/** In front of the PostgreSQL of this run; stopped after the test. */
export async function openPgBouncer(settings?: PgBouncerSettings): Promise<PgBouncer> {
	const bouncer = await startPgBouncer(serverUrl(), settings);
	afterThisTest(bouncer.stop);
	return bouncer;
}

/** Where the PostgreSQL of this run is reached without a pooler. */
export function serverUrl(): string {
	const url = postgresUrl("TCP");
	if (url === undefined) throw new Error("no PostgreSQL over TCP");
	return url;
}

/** A pool of a face, with the preset unless that is taken away; ended after the test. */
export function openPool(face: Face, options: Partial<OpenOptions> & Pick<OpenOptions, "url">): Subject {
	const subject = face.open({ max: 3, preset: "transaction-pooler", ...options });
	// It may have ended before.
	afterThisTest(() => Promise.allSettled([subject.end()]));
	return subject;
}

/** The driver's objects for so many connections of a pool, which are idle afterwards. */
export async function connectionsOf(subject: Subject, count: number): Promise<object[]> {
	const held = [];
	for (let taken = 0; taken < count; taken++) held.push(await subject.hold());
	for (const connection of held) await connection.release();
	return held.map(({ raw }) => raw);
}

/** Begins a transaction on a connection of its own, which has a server connection of PgBouncer from now on. @returns ends it */
export async function beginElsewhere(url: string): Promise<() => Promise<void>> {
	const client = new pg.Client(url);
	client.on("error", () => {});
	await client.connect();
	await client.query("begin");
	afterThisTest(() => Promise.allSettled([client.end()]));
	return async () => void (await client.query("commit"));
}
