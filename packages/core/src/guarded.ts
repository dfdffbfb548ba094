import process from "node:process";

/** Runs a step that must not keep the next ones from running: what it throws becomes a process warning. */
export function guarded(step: () => void): void {
	try {
		step();
	} catch (error) {
		process.emitWarning(error instanceof Error ? error : new Error(String(error)));
	}
}
