import type { Face } from "../faces/face.ts";
import { postgresView } from "../faces/postgres-view.ts";
import { type Route, transports } from "../support/server-urls.ts";

/** One face over one transport. */
export interface Subject {
	readonly face: Face;
	readonly transport: Route;
	/** Modules that its process imports first. */
	readonly imports?: readonly string[];
}

/** Ours, over every transport. */
export function subjectsOf(faces: readonly Face[]): Subject[] {
	return faces.filter(({ isProtected }) => isProtected).flatMap((face) => transports.map((transport) => ({ face, transport })));
}

/** Ours, behind PgBouncer. */
export function pooledSubjectsOf(faces: readonly Face[]): Subject[] {
	const pooled = faces.filter(({ isProtected, server }) => isProtected && server === postgresView);
	return pooled.map((face) => ({ face, transport: "PgBouncer" }));
}

/**
 * Those that the test command goes through: the transport is a matter of the driver, not of what is below it or built on it, and
 * Kysely's own dialect does nothing with a pool that pg's users do not.
 */
export function isUsual({ face, transport }: Subject): boolean {
	return transport === "TCP" ? face.library !== "kysely-own" : transport === "TLS" && face.library === "pg";
}
