/**
 * How long does it take until the first and until all of ten connections that are opened at once are usable? A PostgreSQL
 * of our own answers, over every transport, and from 20 ms away.
 */
import { ChaosProxy } from "../../test/support/chaos-proxy.ts";
import { type Place, withServer } from "./bench-server.ts";
import { type Chart, FORKSAFE, marksOf, PEERS, YARDSTICK } from "./chart.ts";
import type { ConnectSample, Way } from "./connect-worker.ts";
import { runFresh } from "./fresh-process.ts";
import type { Part } from "./part.ts";
import { tableOf } from "./section.ts";
import { inOrderOf, ratios, withInterval } from "./statistics.ts";
import type { Target } from "./target.ts";

type Samples = Partial<Record<Way, ConnectSample[]>>;

/** By transport, in a process that has connected before and in one that has not. */
export type ConnectResults = Readonly<Record<string, Samples>>;

const WAYS: readonly Way[] = ["one client", "ten clients", "pg's Pool", "forksafe's Pool"];
const ROUND_TRIP_MILLIS = 20;
const WARM_UP_ROUNDS = 5;
const FRESH = ", fresh process";

export const connect: Part<ConnectResults> = {
	name: "connect",
	measure: ({ connectRounds, coldConnectRounds }, progress) =>
		withServer(100, async ({ unixSocket, tcp, tls }) => {
			const proxy = await new ChaosProxy(addressOf(tcp)).start();
			proxy.latencyMillis = ROUND_TRIP_MILLIS / 2;
			try {
				const near = [unixSocket, tcp, tls];
				const far = { title: `${tcp.title}, ${ROUND_TRIP_MILLIS} ms away`, url: proxy.urlOf(tcp.url) };
				const results: Record<string, Samples> = {};
				for (const { title, url } of [...near, far]) {
					progress(`connect: ${title}`);
					results[title] = await runWorker(url, WARM_UP_ROUNDS, connectRounds, WAYS);
				}
				for (const { title, url } of near) {
					const cold: Samples = {};
					results[`${title}${FRESH}`] = cold;
					for (let round = 0; round < coldConnectRounds; round++) {
						progress(`connect: ${title}${FRESH}, round ${round + 1} of ${coldConnectRounds}`);
						for (const way of inOrderOf(round, WAYS)) {
							cold[way] = [...(cold[way] ?? []), ...((await runWorker(url, 0, 1, [way]))[way] ?? [])];
						}
					}
				}
				return results;
			} finally {
				await proxy.stop();
			}
		}),
	describe(results, { connectRounds, coldConnectRounds }) {
		const rows = Object.entries(results).flatMap(([place, samples]) =>
			WAYS.map((way) => [
				`${place}: ${way}`,
				withInterval(firsts(samples, way), 1),
				way === "one client" ? "" : withInterval(firstRatios(samples, way), 2),
				way === "one client" ? "" : withInterval(alls(samples, way), 1),
				way === "one client" ? "" : withInterval(allRatios(samples, way), 2),
			]),
		);
		const titles = [
			"server: opened by",
			"first usable, ms (95 %)",
			"times one client",
			"all ten, ms (95 %)",
			"times ten clients",
		];
		return {
			title: "Ten connections at once, beside raw clients of pg",
			paragraphs: [
				`${connectRounds} rounds in one process after ${WARM_UP_ROUNDS} of warm-up, and ${coldConnectRounds} in fresh processes; ratios are paired by round.`,
			],
			tables: [tableOf("Until the first, and until all of ten are usable", titles, rows)],
			charts: [connectChart(results)],
			targets: targetsOf(results),
		};
	},
};

function addressOf({ url }: Place): { host: string; port: number } {
	const { hostname: host, port } = new URL(url);
	return { host, port: Number(port) };
}

function connectChart(results: ConnectResults): Chart {
	const series: Record<Way, string> = {
		"one client": YARDSTICK,
		"ten clients": YARDSTICK,
		"pg's Pool": PEERS,
		"forksafe's Pool": FORKSAFE,
	};
	return {
		name: "connect",
		title: "Ten connections opened at once: milliseconds until all can be used",
		subtitle: "In a process that has connected before; medians with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "ms",
		isLogarithmic: false,
		marks: warm(results).flatMap(([place, samples]) =>
			WAYS.flatMap((way) => marksOf(place, series[way], way, alls(samples, way))),
		),
	};
}

/** Warm, as the targets are meant: cold code delays whatever it is first. */
function targetsOf(results: ConnectResults): Target[] {
	return warm(results).flatMap(([place, samples]): Target[] => [
		{
			title: `${place}: all of ten, beside raw clients`,
			is: "at most",
			limit: 1.15,
			unit: "x",
			values: allRatios(samples, "forksafe's Pool"),
		},
		{
			title: `${place}: the first, beside one raw client`,
			is: "at most",
			limit: 1.3,
			unit: "x",
			values: firstRatios(samples, "forksafe's Pool"),
		},
	]);
}

function warm(results: ConnectResults): [string, Samples][] {
	return Object.entries(results).filter(([place]) => !place.endsWith(FRESH));
}

/** Asynchronous: the proxy lives in this process. */
function runWorker(url: string, warmUpRounds: number, rounds: number, ways: readonly Way[]): Promise<Samples> {
	return runFresh(new URL("./connect-worker.ts", import.meta.url), [url, warmUpRounds, rounds, ...ways]);
}

function firsts(samples: Samples, way: Way): number[] {
	return samples[way]?.map(({ first }) => first) ?? [];
}

function alls(samples: Samples, way: Way): number[] {
	return samples[way]?.map(({ all }) => all) ?? [];
}

function firstRatios(samples: Samples, way: Way): number[] {
	return ratios(firsts(samples, way), firsts(samples, "one client"));
}

function allRatios(samples: Samples, way: Way): number[] {
	return ratios(alls(samples, way), alls(samples, "ten clients"));
}
