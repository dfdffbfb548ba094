import { allAreRefused } from "./requirements.ts";
import type { Scenario, Target } from "./scenario.ts";

/** Connects that cannot succeed: the driver's error, in the error or as its cause, for everybody who waits. */
export const refusals: readonly Scenario[] = [
	refused("wrong password", "password", /^28P01$/),
	refused("no such database", "database", /^3D000$/),
	// This may pass, so that it is tried again until the acquire's deadline.
	refused("no server", "nobody", /^ECONNREFUSED$/, { isLong: true, settleMillis: 63_000 }),
	// Some resolvers take 5 s for a name, and Node asks for four at a time.
	refused("name does not resolve", "nowhere", /^(ENOTFOUND|EAI_AGAIN)$/, { settleMillis: 30_000, atOnceMillis: 28_000 }),
	refused("TLS refused", "tls", /does not support SSL/),
];

function refused(
	name: string,
	target: Target,
	as: RegExp,
	{ isLong = false, settleMillis = 10_000, atOnceMillis = 2_000 }: Partial<Patience> = {},
): Scenario {
	return {
		name,
		target,
		isLong,
		isHopeless: true,
		deadlineMillis: settleMillis + 30_000,
		async play(bench) {
			bench.ask();
			await bench.settled(settleMillis);
		},
		must: (account, { acquireDeadlineMillis = 0 }) =>
			allAreRefused(account, { byMillis: isLong ? acquireDeadlineMillis + 1_000 : atOnceMillis, as }),
	};
}

interface Patience {
	/** The acquire's own deadline counts, and not `atOnceMillis`. */
	readonly isLong: boolean;
	readonly settleMillis: number;
	readonly atOnceMillis: number;
}
