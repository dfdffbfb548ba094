/** What the benchmarks' report is made by: the interval of a median, and the pictures. */
import { expect } from "chai";
import { type Chart, FORKSAFE, marksOf, PEERS, YARDSTICK } from "../../scripts/bench/chart.ts";
import { interval } from "../../scripts/bench/statistics.ts";
import { drawChart } from "../../scripts/bench-report/drawing.ts";

/** How probable it is that the median lies within so many values when so many of them are left out at either end. */
function coverage(left: number, count: number): number {
	let tooFewHeads = 0;
	for (let heads = 0; heads <= left; heads++) tooFewHeads += chosen(count, heads);
	return 1 - (2 * tooFewHeads) / 2 ** count;
}

function chosen(from: number, count: number): number {
	let ways = 1;
	for (let i = 1; i <= count; i++) ways = (ways * (from - count + i)) / i;
	return ways;
}

describe("the benchmarks' report", () => {
	it("the interval of a median is the narrowest that holds it with 95 %", () => {
		for (let count = 6; count <= 40; count++) {
			const { lower, upper } = interval(Array.from({ length: count }, (_, i) => i).toReversed());
			expect(upper, `of ${count}`).to.equal(count - 1 - lower);
			expect(coverage(lower, count), `of ${count}`).to.be.at.least(0.95);
			expect(coverage(lower + 1, count), `of ${count}, one value less on either side`).to.be.below(0.95);
		}
	});

	it("of fewer than six values the interval is all of them", () => {
		expect(interval([3, 1, 2])).to.deep.equal({ lower: 1, median: 2, upper: 3 });
	});

	const chart: Chart = {
		name: "test",
		title: "What & how <fast>",
		subtitle: "in a test; less is better",
		shape: "dots",
		valueTitle: "ms",
		isLogarithmic: false,
		marks: [
			...marksOf("one", FORKSAFE, "ours", [1, 2, 3]),
			...marksOf("one", PEERS, "theirs", [4, 5, 6]),
			...marksOf("two", YARDSTICK, "nobody's", [1_234]),
		],
	};

	it("draws every mark with its name and value, below the title", async () => {
		const svg = await drawChart(chart);
		for (const text of ["What &amp; how &lt;fast&gt;", "ours", "theirs", "nobody's", ">2<", ">5<", ">1,230<", "one", "two"]) {
			expect(svg).to.include(text);
		}
	});

	for (const shape of ["dots", "lines"] as const) {
		it(`no colour of ${shape} stays as it is on a dark page`, async () => {
			const marks = ["forksafe a", "forksafe b", "tarn", "pg-pool"].flatMap((one) =>
				[1, 10].flatMap((at) => marksOf("", one, at, [at, at + 1])),
			);
			const svg = await drawChart(shape === "dots" ? chart : { ...chart, shape, growthTitle: "waiters", marks });
			const [, style = ""] = /<style>(.*)<\/style>/.exec(svg) ?? [];
			const drawn = new Set(
				[...svg.matchAll(/ (fill|stroke)="(#[0-9a-f]+|[a-z]+)"/g)].map(([, kind, colour]) => `${kind}="${colour}"`),
			);
			const unnamed = [...drawn].filter((one) => !/"(none|transparent)"/.test(one) && !style.includes(`[${one}]`));
			expect(unnamed).to.deep.equal([]);
		});
	}

	it("says so when there are more lines than colours", async () => {
		const marks = Array.from({ length: 5 }, (_, i) => marksOf("", `peer ${i}`, 1, [1])).flat();
		const drawn = await drawChart({ ...chart, shape: "lines", marks }).catch((error: Error) => error.message);
		expect(drawn).to.equal('no colour is left for "peer 4"');
	});
});
