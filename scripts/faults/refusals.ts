import { allAreRefused } from "./requirements.ts";
import type { Scenario, Target } from "./scenario.ts";

/** Connects that cannot succeed: the driver's error, in the error or as its cause, for everybody who waits. */
export const refusals: readonly Scenario[] = [
	refused("wrong password", "password", /^28P01$/),
	refused("no such database", "database", /^3D000$/),
	// Never was there one: that is a wrong address, and not a server that has gone.
	refused("no server", "nobody", /^ECONNREFUSED$/),
	// Some resolvers take 5 s for a name, and Node asks for four at a time.
	refused("name does not resolve", "nowhere", /^(ENOTFOUND|EAI_AGAIN)$/, { settleMillis: 30_000, atOnceMillis: 28_000 }),
	refused("TLS refused", "tls", /does not support SSL/),
];

function refused(
	name: string,
	target: Target,
	as: RegExp,
	{ settleMillis = 10_000, atOnceMillis = 2_000 }: Partial<Patience> = {},
): Scenario {
	return {
		name,
		target,
		isHopeless: true,
		deadlineMillis: settleMillis + 30_000,
		async play(bench) {
			bench.ask();
			await bench.settled(settleMillis);
		},
		must: (account) => allAreRefused(account, { byMillis: atOnceMillis, as }),
	};
}

interface Patience {
	readonly settleMillis: number;
	readonly atOnceMillis: number;
}
