import { noneFails } from "./requirements.ts";
import type { Scenario } from "./scenario.ts";

/** The server goes, and comes back. */
export const restarts: readonly Scenario[] = [
	{
		name: "server restarted while the event loop is blocked",
		ways: [
			{ transport: "TCP", wake: "timer" },
			{ transport: "unix", wake: "message" },
		],
		deadlineMillis: 45_000,
		async play(bench) {
			await bench.warm();
			await bench.awake(() => {
				bench.pleaseNow("restart the server");
				bench.ask();
			});
			await bench.settled(8_000);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "queries while the server is down for 2 s",
		deadlineMillis: 45_000,
		async play(bench) {
			await bench.warm();
			await bench.please("halt the server");
			bench.ask();
			await bench.please("resume the server after 2 s");
			bench.mark();
			await bench.settled(8_000);
		},
		must: (account) => {
			const { sinceMarkMillis = 0 } = account;
			return [noneFails(account), sinceMarkMillis > 1_000 && `answered ${Math.round(sinceMarkMillis)} ms after its return`];
		},
	},
];
