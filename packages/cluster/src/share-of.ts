import process from "node:process";
import { OptionError, rejectUnknownOptions } from "@forksafe/core";
import { checkCount } from "./check-count.ts";

/** What is divided, and among how many. */
export interface ShareOptions {
	/** So many connections all processes together may have. */
	total: number;
	/** So many processes there are, at most. */
	processes: number;
	/** Which of them this one is, from 0. @default NODE_APP_INSTANCE, which PM2 sets */
	index?: number;
}

/**
 * A fixed share of the connections, for the `max` of a pool, where no process runs code of ours before the others: under PM2, say.
 * What cannot be divided goes to those that come first. The shares of all processes make up the total.
 *
 * @throws OptionError (ERR_FORKSAFE_OPTION), also when this process is one more than was planned for
 * @example
 * ```ts
 * const pool = new Pool({ max: shareOf({ total: 90, processes: 16 }) });
 * ```
 */
export function shareOf(options: ShareOptions): number {
	rejectUnknownOptions(options, ["total", "processes", "index"]);
	const { total, processes } = options;
	checkCount("total", total, 1);
	checkCount("processes", processes, 1);
	if (processes > total)
		throw new OptionError("processes", processes, `must not be above total (${total}): some would have none`);
	const [name, index] =
		options.index === undefined ? ["NODE_APP_INSTANCE", wholeNumber(process.env["NODE_APP_INSTANCE"])] : ["index", options.index];
	if (index === undefined) {
		throw new OptionError("index", undefined, "must be given where NODE_APP_INSTANCE is not set to a whole number");
	}
	checkCount(name, index, 0);
	if (index >= processes) {
		throw new OptionError(name, index, `must be below processes (${processes}): raise it to as many as there can be`);
	}
	return Math.floor(total / processes) + (index < total % processes ? 1 : 0);
}

function wholeNumber(text: string | undefined): number | undefined {
	return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
