import { noneFails } from "./requirements.ts";
import { allWays, type Scenario } from "./scenario.ts";

const overBoth = allWays.filter(({ wake }) => wake === "timer");
const overTcp = allWays.filter(({ transport }) => transport === "TCP");
const deadlineMillis = 40_000;
const settleMillis = 6_000;
const running = 10;
const queued = 20;

/** Sessions end, and who holds them hears of it late. */
export const losses: readonly Scenario[] = [
	{
		name: "idle sessions terminated, 20 queries in the same tick",
		ways: allWays,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			await bench.awake(() => {
				bench.pleaseNow("terminate sessions");
				bench.ask();
			});
			await bench.settled(settleMillis);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "idle sessions terminated, one query after another",
		ways: allWays,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			let asked = Promise.resolve();
			await bench.awake(() => {
				bench.pleaseNow("terminate sessions");
				asked = bench.askInTurn();
			});
			const late = new Promise<void>((resolve) => void setTimeout(resolve, settleMillis));
			await Promise.race([asked, late]);
			await bench.settled(0);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "idle sessions terminated, 20 queries 100 ms later",
		ways: overBoth,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			await bench.please("terminate sessions");
			await new Promise((resolve) => void setTimeout(resolve, 100));
			bench.ask();
			await bench.settled(settleMillis);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "idle connections reset (RST), 20 queries in the same tick",
		ways: overTcp,
		isProxied: true,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			await bench.awake(() => {
				bench.pleaseNow("reset connections");
				bench.ask();
			});
			await bench.settled(settleMillis);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "idle connections cut (FIN), 20 queries in the same tick",
		ways: overTcp,
		isProxied: true,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			await bench.awake(() => {
				bench.pleaseNow("cut connections");
				bench.ask();
			});
			await bench.settled(settleMillis);
		},
		must: (account) => [noneFails(account)],
	},
	{
		name: "killed with 10 running and 20 queued",
		ways: overBoth,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			bench.ask(running, 10_000);
			bench.ask(queued);
			await new Promise((resolve) => void setTimeout(resolve, 200));
			await bench.please("terminate sessions");
			await bench.settled(settleMillis);
		},
		must: ({ failed, hung, answered }) => [
			failed !== running && `${failed} failed, of ${running} that were running`,
			hung > 0 && `${hung} hung`,
			answered !== queued && `${answered} of ${queued} queued ones were answered`,
		],
	},
	{
		name: "SIGSTOP 3 s, sessions killed, SIGCONT, 20 queries first",
		ways: allWays,
		deadlineMillis,
		async play(bench) {
			await bench.warm();
			await bench.awakeFromFreeze(() => bench.ask());
			await bench.settled(settleMillis);
		},
		must: (account) => [noneFails(account)],
	},
];
