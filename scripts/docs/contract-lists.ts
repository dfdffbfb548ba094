/** Which scenario shows which line of the contract. */
import { faces } from "../../test/faces/index.ts";
import { commonScenarios } from "../../test/scenarios/common.ts";
import { hardForks } from "../../test/scenarios/hard-forks.ts";
import { scenariosFor } from "../../test/scenarios/index.ts";
import { postgresScenarios } from "../../test/scenarios/postgres.ts";

/** How many lines the contract has. */
export const CONTRACT_LINES = 12;

/** For docs/contract.md: the scenarios that show a line of the contract, each with the file that it stands in. */
export function scenariosOfLine(line: number): string {
	const found = Array.from(filesByName().entries()).filter(([, { contract }]) => contract.includes(line));
	return found.map(([name, { file }]) => `- \`test/scenarios/${file}.ts\`: a fork ${name}\n`).join("");
}

function filesByName(): Map<string, { file: string; contract: readonly number[] }> {
	const ours = faces.filter(({ isProtected }) => isProtected);
	return new Map(
		ours.flatMap((face) =>
			scenariosFor(face).map(({ name, contract }) => [name, { file: fileOf(name, face.library), contract }] as const),
		),
	);
}

/** What only one library has stands in the file that bears its name. */
function fileOf(name: string, library: string): string {
	const shared = { common: commonScenarios, "hard-forks": hardForks, postgres: postgresScenarios };
	const found = Object.entries(shared).find(([, scenarios]) => scenarios.some((scenario) => scenario.name === name));
	return found?.[0] ?? library.replace(/-.*/, "");
}
