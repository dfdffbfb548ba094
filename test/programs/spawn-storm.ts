/**
 * `spawn-storm.ts URL LINE_URL CHILDREN AT_A_TIME`: starts so many processes, by every road that Node has, while pools of every face
 * work. Reports what the storm has done to each pool, and how long it took with and without them.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { currentGeneration } from "@forksafe/core";
import pLimit from "p-limit";
import { faces } from "../faces/index.ts";
import { warm } from "../scenarios/scenario.ts";
import { report } from "../support/report.ts";

const [url = "", lineUrl = "", children, atATime] = process.argv.slice(2);
const CONNECTIONS = 3;

const pools = await Promise.all(
	faces
		.filter(({ isProtected, library }) => isProtected && !library.endsWith("mysql"))
		.map(async ({ name, library, open }) => {
			const subject = open({ url: library === "core" ? lineUrl : url, max: CONNECTIONS, idleTimeoutMillis: 600_000 });
			return { name, subject, before: await warm(subject, CONNECTIONS), answers: 0, wrong: 0 };
		}),
);
const alone = await storm();
let isOver = false;
const working = pools.map(async (pool) => {
	while (!isOver) {
		const question = `question ${pool.answers++}`;
		if ((await pool.subject.echo(question)) !== question) pool.wrong++;
	}
});
const busy = await storm();
isOver = true;
await Promise.all(working);

for (const { name, subject, before, answers, wrong } of pools) {
	const after = await warm(subject, CONNECTIONS);
	report({
		name,
		answered: answers > 0,
		wrong,
		lost: [...before].filter((backend) => !after.has(backend)).length,
		generation: currentGeneration(),
	});
	await subject.end();
}
report({ millisPerSpawn: { alone, busy } });

/** @returns milliseconds for each process */
async function storm(): Promise<number> {
	const limit = pLimit(Number(atATime));
	const start = performance.now();
	const all = Array.from({ length: Number(children) }, () => limit(() => once(spawn("true", { stdio: "ignore" }), "exit")));
	for (const [code] of await Promise.all(all)) if (code !== 0) throw new Error(`true ended with ${code}`);
	return (performance.now() - start) / Number(children);
}
