/** How much memory does an idle pool hold, and each of its connections? */
import { seriesOf } from "./acquire-sample.ts";
import { withServer } from "./bench-server.ts";
import { type Chart, marksOf } from "./chart.ts";
import { faceSeries, rawFaces } from "./faces.ts";
import { runFresh } from "./fresh-process.ts";
import type { MemorySample } from "./memory-worker.ts";
import type { Part } from "./part.ts";
import { BARE, poolNames } from "./pool-subjects.ts";
import { createTables } from "./query-tables.ts";
import { type Table, tableOf } from "./section.ts";
import { inOrderOf, withInterval } from "./statistics.ts";

type Samples = Readonly<Record<string, readonly MemorySample[]>>;

/** Of pools over connections that do nothing, and of faces over real ones. */
export interface MemoryResults {
	readonly pools: Samples;
	readonly faces: Samples;
}

/** The bare stack has its connections from the beginning. */
const measuredPools = poolNames.filter((name) => name !== BARE);
const faceNames = rawFaces.map(({ name }) => name);

export const memory: Part<MemoryResults> = {
	name: "memory",
	measure: ({ memoryRounds }, progress) =>
		withServer(150, async ({ tcp, unixSocket: { url } }) => {
			await createTables(tcp.url);
			const measure = async (kind: string, names: readonly string[]): Promise<Samples> => {
				const samples: Record<string, MemorySample[]> = Object.fromEntries(names.map((name) => [name, []]));
				for (let round = 0; round < memoryRounds; round++) {
					progress(`memory: ${kind}, round ${round + 1} of ${memoryRounds}`);
					for (const name of inOrderOf(round, names)) samples[name]?.push(await runWorker(kind, name, url));
				}
				return samples;
			};
			return { pools: await measure("pool", measuredPools), faces: await measure("face", faceNames) };
		}),
	describe({ pools, faces: measuredFaces }, { memoryRounds }) {
		return {
			title: "Memory of an idle pool, and of a connection",
			paragraphs: [
				`Bytes of heap, and of what the heap holds outside, after collections; ${memoryRounds} rounds, each in a fresh process. A pool is one of a hundred that have not connected yet; a connection is one of a thousand that do nothing, or of fifty real ones that have served a transaction. postgres.js makes what it needs for all of fifty connections when it is opened. What the kernel and the server hold for a connection comes on top of it, and is the same for all.`,
			],
			tables: [
				memoryTable("Pools, over connections that do nothing (95 %)", measuredPools, pools),
				memoryTable("Faces, over connections to PostgreSQL (95 %)", faceNames, measuredFaces),
			],
			charts: [memoryChart(measuredFaces, pools)],
			targets: [],
		};
	},
};

function runWorker(kind: string, name: string, url: string): Promise<MemorySample> {
	return runFresh(new URL("./memory-worker.ts", import.meta.url), [kind, name, url], { flags: ["--expose-gc"] });
}

function memoryTable(title: string, names: readonly string[], samples: Samples): Table {
	const rows = names.map((name) => [name, withInterval(poolOf(samples[name]), 0), withInterval(connectionOf(samples[name]), 0)]);
	return tableOf(title, ["", "bytes of an empty pool", "bytes of each idle connection"], rows);
}

function memoryChart(faces: Samples, pools: Samples): Chart {
	return {
		name: "memory",
		title: "Bytes that each idle connection holds",
		subtitle: "Heap and what it holds outside; medians of fresh processes with their 95 % interval; less is better",
		shape: "dots",
		valueTitle: "bytes (logarithmic)",
		isLogarithmic: true,
		marks: [
			...measuredPools.flatMap((name) => marksOf("a pool's own", seriesOf(name), name, connectionOf(pools[name]))),
			...rawFaces.flatMap((face) =>
				marksOf("with a client of PostgreSQL", faceSeries(face), face.name, connectionOf(faces[face.name])),
			),
		],
	};
}

function poolOf(samples: readonly MemorySample[] = []): number[] {
	return samples.map(({ pool }) => pool);
}

function connectionOf(samples: readonly MemorySample[] = []): number[] {
	return samples.map(({ connection }) => connection);
}
