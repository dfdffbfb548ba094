/** One scenario over one pool, in a process of its own, because it may hang, crash or be stopped: `program.ts CASTING`. */
import { Bench, type Casting } from "./bench.ts";
import { scenarios } from "./scenarios.ts";
import { subjects } from "./subjects.ts";

const casting = JSON.parse(process.argv[2] ?? "{}") as Casting;
const subject = subjects.find(({ name }) => name === casting.subject);
const scenario = scenarios.find(({ name }) => name === casting.scenario);
if (subject === undefined || scenario === undefined) throw new Error("program.ts CASTING");

const bench = await Bench.open(casting, subject);
// A crash goes this way, too, and nothing stands in its way.
process.on("exit", () => bench.tell());
// For a program that is killed at its deadline.
setInterval(() => bench.tell(), 500).unref();

try {
	await scenario.play(bench);
	bench.tell();
	await bench.inspect(scenario);
	await bench.close();
} catch (error) {
	bench.broken(error instanceof Error ? error.message : String(error));
}
bench.tell({ isDone: true });
process.exit();
