import process from "node:process";

/** Collects what becomes a process warning while `action` runs, in place of printing it. */
export function warningsOf(action: () => void): Error[] {
	const warnings: Error[] = [];
	const { emitWarning } = process;
	process.emitWarning = ((warning: string | Error) => {
		warnings.push(warning instanceof Error ? warning : new Error(warning));
	}) as typeof process.emitWarning;
	try {
		action();
	} finally {
		process.emitWarning = emitWarning;
	}
	return warnings;
}
