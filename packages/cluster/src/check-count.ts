import { OptionError } from "@forksafe/core";

/** @throws OptionError (ERR_FORKSAFE_OPTION) unless `value` is a whole number, `least` or more */
export function checkCount(name: string, value: unknown, least: number): void {
	if (Number.isSafeInteger(value) && (value as number) >= least) return;
	throw new OptionError(name, value, `must be a whole number, ${least} or more`);
}
