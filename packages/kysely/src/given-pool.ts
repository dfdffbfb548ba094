import { OptionError } from "@forksafe/core";
import type { AbortableOptions } from "./lender.ts";

/** What a dialect takes for its `pool`. */
export type GivenPool<P extends object, O extends object> = O | P | ((options?: AbortableOptions) => P | Promise<P>);

/** Gives the pool to whoever needs it first. */
export type OpenPool<P> = (options: AbortableOptions | undefined) => P | Promise<P>;

/**
 * @param Pool the class of the pools that are guarded
 * @param home the package that it comes from
 * @throws OptionError (ERR_FORKSAFE_OPTION) for what is no such pool; from the returned function when a given one returns it
 */
export function poolOpener<P extends object, O extends object>(
	given: GivenPool<P, O>,
	Pool: new (options: O) => P,
	home: string,
): OpenPool<P> {
	const guarded = (pool: unknown): P => {
		if (pool instanceof Pool) return pool;
		throw new OptionError(
			"pool",
			pool,
			`must be a Pool of ${home}, its options, or a function that returns one: the connections of another pool are not guarded`,
			false, // a url, perhaps, with a password in it
		);
	};
	if (typeof given === "function") return async (options) => guarded(await given(options));
	const pool = isPlainObject<O>(given) ? new Pool(given) : guarded(given);
	return () => pool;
}

/** @throws OptionError (ERR_FORKSAFE_OPTION) for one that is given, and no function */
export function checkFunctions<Config extends object>(config: Config, names: readonly (keyof Config & string)[]): void {
	for (const name of names) {
		const value: unknown = config[name];
		if (value !== undefined && typeof value !== "function") throw new OptionError(name, value, "must be a function");
	}
}

function isPlainObject<O extends object>(value: unknown): value is O {
	if (typeof value !== "object" || value === null) return false;
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype === Object.prototype || prototype === null;
}
