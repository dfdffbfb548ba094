/** The program under soak, which forks itself: `program.ts URL SECONDS SEED FACE...`. */
import process from "node:process";
import { faces } from "../../test/faces/index.ts";
import { report } from "../../test/support/report.ts";
import { type Line, Soaked, sampleAll } from "./soaked.ts";

const [url = "", seconds, seed, ...names] = process.argv.slice(2);
const end = performance.now() + Number(seconds) * 1_000;
const random = randomFrom(Number(seed));
process.on("warning", ({ name, message }) => {
	if (name === "MaxListenersExceededWarning") report({ complaint: message } satisfies Line);
});

const all = names.map((name) => {
	const face = faces.find((one) => one.name === name);
	if (face === undefined) throw new Error(`no face ${name}`);
	return new Soaked(face, url, random);
});
let cycles = 0;
while (performance.now() < end) {
	for (const soaked of all) await soaked.cycle();
	if (++cycles % 2 === 0) await sampleAll(all);
}
for (const soaked of all) await soaked.end();

/** Mulberry32: the same seed gives the same choices. (Which statement a fault meets is up to the machine.) */
function randomFrom(start: number): () => number {
	let state = start >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
}
