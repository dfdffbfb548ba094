/**
 * V8 start-up snapshots: what this process has in its memory when the build is over, others start with (`node --build-snapshot`,
 * single executables with `useSnapshot`).
 *
 * The build is over when nothing keeps the event loop alive, and no socket can be in a snapshot. So while it goes on, no
 * connection is idle, one in use keeps the loop alive only as long as the server has something to answer, and one that is still
 * open at the end fails the build.
 */
import process from "node:process";
import { startupSnapshot } from "node:v8";

/** A connection that is still open although nothing can happen to it any more. */
export interface OpenConnection {
	/** Whose it is, and what is to be done with it. */
	readonly what: string;
	/** Who has acquired it: the frames of the call, a line each. */
	readonly stack: string;
}

let isBuilding = startupSnapshot.isBuildingSnapshot();
const pools = new Set<() => readonly OpenConnection[]>();
const connections = new Set<() => OpenConnection>();

if (isBuilding) {
	startupSnapshot.addSerializeCallback(failIfOpen);
	startupSnapshot.addDeserializeCallback(() => {
		isBuilding = false;
		pools.clear();
	});
}

/** Whether this process builds a start-up snapshot. A process that was started from one does not. */
export function isBuildingSnapshot(): boolean {
	return isBuilding;
}

/** Calls `action` in every process that starts from the snapshot, before the application's own code. Nothing outside a build. */
export function onSnapshotStart(action: () => void): void {
	if (isBuilding) startupSnapshot.addDeserializeCallback(action);
}

/** A pool is asked, when the snapshot is to be written, which connections were not released. Nothing outside a build. */
export function askBeforeSnapshot(leases: () => readonly OpenConnection[]): void {
	if (isBuilding) pools.add(leases);
}

/**
 * A connection is open, whether a pool has it or not. Nothing outside a build.
 *
 * @returns to be called when it has ended
 */
export function openUntilSnapshot(describe: () => OpenConnection): () => void {
	if (!isBuilding) return () => {};
	connections.add(describe);
	return () => void connections.delete(describe);
}

/**
 * By hand, because Node ends a build whose callback throws with a check that has failed inside V8, and a page of addresses after
 * the message.
 */
function failIfOpen(): void {
	const leases = [...pools].flatMap((openOf) => openOf());
	// What a pool has lent is open, too.
	const open = leases.length > 0 ? leases : Array.from(connections, (describe) => describe());
	if (open.length === 0) return;
	const lines = open.map(({ what, stack }) => `${what}\n${stack}\n`);
	const count = open.length === 1 ? "1 connection is" : `${open.length} connections are`;
	process.stderr.write(`forksafe: no snapshot was written (ERR_FORKSAFE_SNAPSHOT): ${count} still open\n${lines.join("")}`);
	process.exit(1);
}
