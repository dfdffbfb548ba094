import { allAreRefused, noneFails } from "./requirements.ts";
import type { Scenario } from "./scenario.ts";

const connectTimeoutMillis = 10_000;
/** For a validation's time-out, and a new connection after it. */
const validationMillis = 9_000;
const graceMillis = 1_000;

/** Connections of which nothing is heard, or little. */
export const silences: readonly Scenario[] = [
	{
		name: "slow network (20 ms each way, accepts after 300 ms), 20 queries",
		isProxied: true,
		deadlineMillis: 40_000,
		async play(bench) {
			await bench.please("slow the network");
			bench.ask();
			await bench.settled(8_000);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "new connections black-holed",
		isProxied: true,
		isLong: true,
		deadlineMillis: 90_000,
		async play(bench) {
			await bench.please("swallow new connections");
			bench.ask();
			await bench.settled(33_000);
			await bench.please("heal the network");
		},
		must: (account) =>
			allAreRefused(account, { byMillis: connectTimeoutMillis + graceMillis, as: /connection (was|terminated|could)/i }),
	},
	{
		name: "idle connections black-holed, 5 queries",
		isProxied: true,
		deadlineMillis: 60_000,
		async play(bench) {
			await bench.warm();
			await bench.please("stall connections");
			await new Promise((resolve) => void setTimeout(resolve, 1_200));
			bench.ask(5);
			await bench.settled(validationMillis);
		},
		must: (account) => [noneFails(account)],
	},
];
