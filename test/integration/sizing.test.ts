/** The calculator behind `forksafe-sizing`: its arithmetic, its command, and the guide that relies on it. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { readOptions } from "../../scripts/sizing/options.ts";
import type { SizingPlan } from "../../scripts/sizing/plan.ts";
import { type Sizing, sizing } from "../../scripts/sizing/sizing.ts";

const command = fileURLToPath(new URL("../../scripts/sizing/forksafe-sizing.ts", import.meta.url));
const guide = readFileSync(new URL("../../docs/sizing.md", import.meta.url), "utf8");

/** What a plan comes to, beside what is accepted: `150 of 97` for each figure. */
function numbers({ figures }: Sizing): string[] {
	return figures.map(({ value, limit }) => `${value.toLocaleString("en")} of ${limit.toLocaleString("en")}`);
}

function fits(plan: SizingPlan): boolean {
	return sizing(plan).warnings.length === 0;
}

/** The number that a remedy says to set. */
function remedy({ warnings }: Sizing, text: RegExp): number | undefined {
	for (const line of warnings.flatMap(({ remedies }) => remedies)) {
		const [, number] = text.exec(line) ?? [];
		if (number !== undefined) return Number(number);
	}
	return undefined;
}

function run(args: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
	return new Promise((resolve) => {
		execFile(process.execPath, [command, ...args], { timeout: 20_000 }, (error, stdout, stderr) => {
			resolve({ exitCode: error === null ? 0 : Number(error.code), stdout, stderr });
		});
	});
}

describe("sizing", () => {
	it("multiplies processes, instances and the two generations of a release", () => {
		const plan: SizingPlan = { processes: 4, max: 3, instances: 4, maxConnections: 100 };
		expect(numbers(sizing(plan))).to.deep.equal(["48 of 97"]);
		const rolling = sizing({ ...plan, rolling: true, reserve: 10 });
		expect(numbers(rolling)).to.deep.equal(["96 of 90"]);
		expect(rolling.figures[0]).to.include({
			formula: "4 instances x 2 (old and new) x 4 processes x max 3",
			limitFormula: "max_connections 100 - reserve 10",
		});
		expect(rolling.warnings).to.have.length(1);
		expect(rolling.warnings[0]?.message).to.include("PostgreSQL refuses 6 of 96").and.include("53300");
	});

	it("counts poolers, databases and users on the server's side, and the poolers that are left on the clients'", () => {
		const pooler = { size: 5, poolers: 3, maxClients: 50, databases: 2, users: 2 };
		const plan: SizingPlan = { processes: 10, max: 10, maxConnections: 100, pooler };
		expect(numbers(sizing(plan))).to.deep.equal(["100 of 100", "60 of 97"]);
		expect(numbers(sizing({ ...plan, pooler: { ...pooler, lost: 0 } }))).to.deep.equal(["100 of 150", "60 of 97"]);
		expect(numbers(sizing({ ...plan, pooler: { size: 5 } }))).to.deep.equal(["100 of 100", "5 of 97"]);
	});

	it("holds the load against the narrowest place", () => {
		const load = { transactionsPerSecond: 2_000, heldMillis: 5 };
		const plan: SizingPlan = { processes: 2, max: 10, maxConnections: 100, load };
		expect(numbers(sizing(plan))).to.deep.equal(["20 of 97", "15 of 20"]);
		// 21 / 0.7 is a little more than 30 where numbers are binary.
		expect(numbers(sizing({ ...plan, load: { transactionsPerSecond: 4_200, heldMillis: 5 } }))[1]).to.equal("30 of 20");
		const narrow = sizing({ ...plan, pooler: { size: 8 } });
		expect(numbers(narrow)).to.deep.equal(["20 of 100", "8 of 97", "15 of 8"]);
		expect(remedy(narrow, /default_pool_size to (\d+) or more/)).to.equal(15);
		const [tooMuch] = sizing({ ...plan, load: { ...load, heldMillis: 500 } }).warnings;
		expect(tooMuch?.remedies).to.have.length(1);
		expect(tooMuch?.remedies[0]).to.include("make transactions shorter");
	});

	it("names the largest max, the largest pool size and the least max_client_conn that fit", () => {
		const plans: SizingPlan[] = [1, 3, 15].flatMap((processes) =>
			[1, 2, 7].flatMap((instances) =>
				[false, true].flatMap((rolling) =>
					[20, 100, 101].map((maxConnections) => ({ processes, instances, rolling, maxConnections, max: 40 })),
				),
			),
		);
		const tooLarge = plans.filter((plan) => !fits(plan));
		expect(tooLarge).to.have.length.within(10, plans.length - 1);
		for (const plan of tooLarge) {
			const what = JSON.stringify(plan);
			const max = remedy(sizing(plan), /set max to (\d+) or less/);
			if (max !== undefined) expect(fits({ ...plan, max }), what).to.equal(true);
			expect(fits({ ...plan, max: (max ?? 0) + 1 }), what).to.equal(false);
			const maxConnections = remedy(sizing(plan), /max_connections to (\d+) or more/) ?? 0;
			expect(fits({ ...plan, maxConnections }), what).to.equal(true);
			expect(fits({ ...plan, maxConnections: maxConnections - 1 }), what).to.equal(false);
		}
		for (const plan of plans) {
			for (const counts of [{}, { poolers: 2 }, { poolers: 3, users: 2 }]) {
				const what = JSON.stringify({ ...plan, ...counts });
				const pooler = { size: 400, maxClients: 5, ...counts };
				const through = sizing({ ...plan, pooler });
				const maxClients = remedy(through, /max_client_conn to (\d+) or more/) ?? 0;
				const size = remedy(through, /reserve_pool_size, to (\d+) or less/) ?? 0;
				expect(fits({ ...plan, pooler: { ...pooler, maxClients, size } }), what).to.equal(true);
				expect(fits({ ...plan, pooler: { ...pooler, maxClients, size: size + 1 } }), what).to.equal(false);
				expect(fits({ ...plan, pooler: { ...pooler, maxClients: maxClients - 1, size } }), what).to.equal(false);
			}
		}
	});

	it("says so when even one connection for each process or pool is too many", () => {
		const [bare] = sizing({ processes: 120, max: 1, maxConnections: 100 }).warnings;
		expect(bare?.remedies[0]).to.equal("have 97 processes or fewer: 120 with a max of 1 are too many");
		const pooler = { size: 1, poolers: 20, users: 10, maxClients: 100 };
		const [pooled] = sizing({ processes: 120, max: 1, maxConnections: 100, pooler }).warnings;
		expect(pooled?.remedies[0]).to.include("200 pools of one connection each are more than 97");
		expect(pooled?.remedies[1]).to.include("max_db_connections to 4 or less");
	});
});

describe("forksafe-sizing", () => {
	const small = ["--processes", "15", "--max", "6", "--max-connections", "100"];

	it("exits with 0 and says that a plan fits, or with 1 and what to change", async () => {
		const good = await run(small);
		expect(good).to.include({ exitCode: 0, stderr: "" });
		expect(good.stdout).to.include("15 processes x max 6 = 90, of max_connections 100 - reserve 3 = 97").and.include("it fits");
		const bad = await run([...small, "--rolling"]);
		expect(bad).to.include({ exitCode: 1, stderr: "" });
		expect(bad.stdout).to.include("NOT RIGHT: PostgreSQL refuses 83 of 180").and.include("set max to 3 or less");
	});

	it("writes what the function returns with --json", async () => {
		const { exitCode, stdout } = await run([...small, "--pooler-size", "20", "--pooler-max-clients", "50", "--json"]);
		expect(exitCode).to.equal(1);
		const plan: SizingPlan = { processes: 15, max: 6, maxConnections: 100, pooler: { size: 20, maxClients: 50 } };
		expect(JSON.parse(stdout)).to.deep.equal({ fits: false, ...sizing(plan) });
	});

	for (const [title, args, message] of [
		["a missing option", ["--max", "6"], "--processes is missing"],
		["an unknown option", [...small, "--maximum", "6"], "'--maximum'"],
		["a word for a number", [...small, "--instances", "many"], "--instances many: must be a whole number, 1 or more"],
		["a fraction", [...small, "--instances", "1.5"], "--instances 1.5: must be a whole number"],
		["nothing", [...small, "--instances", "0"], "--instances 0: must be a whole number, 1 or more"],
		["a pooler's option without a pooler", [...small, "--poolers", "2"], "--poolers 2 needs --pooler-size"],
		["a reserve of everything", [...small, "--reserve", "100"], "--reserve 100 leaves nothing of --max-connections 100"],
		[
			"no pooler that is left",
			[...small, "--pooler-size", "9", "--poolers-lost", "1"],
			"--poolers-lost 1 leaves none of --poolers 1",
		],
		["half a load", [...small, "--per-second", "100"], "--per-second 100 needs --held-millis"],
	] as const) {
		it(`exits with 2 for ${title}, and names it`, async () => {
			const { exitCode, stdout, stderr } = await run(args);
			expect({ exitCode, stdout }).to.deep.equal({ exitCode: 2, stdout: "" });
			expect(stderr).to.include(message).and.include("--help");
			expect(stderr.split("\n"), stderr).to.have.length.below(5);
		});
	}

	it("lists every option with --help", async () => {
		const { exitCode, stdout } = await run(["--help"]);
		expect(exitCode).to.equal(0);
		for (const [option] of guide.matchAll(/--(?:[a-z]+-)*[a-z]+(?= \d)/g)) expect(stdout).to.include(option);
	});
});

describe("docs/sizing.md", () => {
	it("has beside every plan what the calculator says of it", () => {
		const rows = [...guide.matchAll(/^\| ([^|]+) \| `(--[^`]+)` \| ([^|]+) \| ([^|]+) \|$/gm)];
		expect(rows).to.have.length.above(15);
		for (const [, what, options = "", beside = "", verdict] of rows) {
			const { plan } = readOptions(options.split(" "));
			const said = sizing(plan);
			expect(beside.match(/[\d,]*\d of [\d,]*\d/g), what).to.deep.equal(numbers(said));
			expect(verdict, what).to.equal(said.warnings.length === 0 ? "fits" : "does not");
		}
	});

	it("shows what the command prints", async () => {
		const blocks = [...guide.matchAll(/^```console\n\$ npx -y pnpm@12 --silent forksafe-sizing (.*)\n([^`]*)```$/gm)];
		expect(blocks).to.have.length.above(0);
		for (const [, options = "", printed] of blocks) expect((await run(options.split(" "))).stdout).to.equal(printed);
	});
});
