/**
 * How many connections a plan comes to, and whether server and pooler accept them: `forksafe-sizing.ts --processes N --max N
 * --max-connections N ...`, options in `options.ts`. Exits with 1 when the plan does not fit, with 2 when an option is wrong.
 */
import { readOptions, type SizingOptions, USAGE } from "./options.ts";
import { type Sizing, sizing } from "./sizing.ts";

if (process.argv.includes("--help")) console.log(USAGE);
else {
	const options = asked();
	if (options === undefined) process.exitCode = 2;
	else {
		const result = sizing(options.plan);
		const fits = result.warnings.length === 0;
		console.log(options.json ? JSON.stringify({ fits, ...result }, undefined, "\t") : inWords(result));
		process.exitCode = fits ? 0 : 1;
	}
}

function asked(): SizingOptions | undefined {
	try {
		return readOptions(process.argv.slice(2));
	} catch (error) {
		console.error(`forksafe-sizing: ${(error as Error).message}\n--help says what there is`);
		return undefined;
	}
}

function inWords({ figures, warnings }: Sizing): string {
	const lines = figures.map(
		({ name, formula, value, limitFormula, limit }) => `${name}: ${formula} = ${value}, of ${limitFormula} = ${limit}`,
	);
	for (const { message, remedies } of warnings) lines.push(`NOT RIGHT: ${message}`, ...remedies.map((remedy) => `  ${remedy}`));
	if (warnings.length === 0) lines.push("it fits");
	return lines.join("\n");
}
