import type { Account } from "./account.ts";

/** Every query is answered. */
export function noneFails({ failed, hung }: Account): string | false {
	const faults = [failed > 0 && `${failed} failed`, hung > 0 && `${hung} hung`].filter(Boolean);
	return faults.length > 0 && faults.join(", ");
}

/** Every query has an error, by this time, with one of these codes or texts in it or in its causes. */
export function allAreRefused(
	{ asked, failed, lastErrorMillis = 0, failures }: Account,
	{ byMillis, as }: { byMillis: number; as: RegExp },
): (string | false)[] {
	const unlike = failures.find(({ text, codes }) => ![text, ...codes].some((said) => as.test(said)));
	return [
		failed !== asked && `${asked - failed} of ${asked} were not refused`,
		failed > 0 && lastErrorMillis > byMillis && `the last error came after ${Math.round(lastErrorMillis)} ms, not ${byMillis}`,
		unlike !== undefined && `an error does not say ${as.source}: ${unlike.text.slice(0, 120)}`,
	];
}
