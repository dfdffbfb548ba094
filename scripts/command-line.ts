import process from "node:process";
import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** What `parseArgs` makes of such options. */
type Values<O extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ args: string[]; options: O }>>["values"];

/** The options of a command, as `parseArgs` has them, without the `--` that pnpm passes on. A signal ends it by its exit handlers. */
export function commandLine<const O extends ParseArgsOptionsConfig>(options: O): Values<O> {
	exitOnSignals();
	return parseArgs({ args: process.argv.slice(2).filter((arg) => arg !== "--"), options }).values;
}

/** What a signal would leave behind is stopped by who has started it, when this process exits. */
export function exitOnSignals(): void {
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
}

/** @throws Error when the option's value is no number above 0 */
export function positiveNumber(option: string, value: string | number): number {
	const number = Number(value);
	if (!(number > 0)) throw new Error(`--${option} ${value}: must be a number above 0`);
	return number;
}
