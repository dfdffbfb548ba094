import type { Face } from "../faces/face.ts";
import { postgresView } from "../faces/postgres-view.ts";
import { type Route, transports } from "../support/server-urls.ts";

/** One face over one transport. */
export interface Subject {
	readonly face: Face;
	readonly transport: Route;
	/** Modules that its process imports first. */
	readonly imports?: readonly string[];
	/** With or without `afterFork()` in the child, where a scenario can be both. @default both in turn */
	readonly hook?: boolean;
}

/** Ours, over every transport and behind PgBouncer. */
export function subjectsOf(faces: readonly Face[]): Subject[] {
	const ours = faces.filter(({ isProtected }) => isProtected);
	return ours.flatMap((face) => {
		const routes: Route[] = face.server === postgresView ? [...transports, "PgBouncer"] : [...transports];
		return routes.map((transport) => ({ face, transport }));
	});
}

/**
 * Whether the test command goes through it: the transport is a matter of the driver, not of what is below it or built on it, and
 * Kysely's own dialect does nothing with a pool that pg's users do not.
 */
export function isUsual({ face, transport }: Subject): boolean {
	return transport === "TCP" ? face.library !== "kysely-own" : transport === "TLS" && face.library === "pg";
}

/** Whether it is the pool itself that is used, and not an adapter. `afterFork()` is none of an adapter's business. */
export function isPool({ face }: Subject): boolean {
	return face.library === "core" || face.library === "pg";
}
