import { commonScenarios } from "./common.ts";
import type { Scenario } from "./scenario.ts";

/** All scenarios of a face. */
export function scenariosFor(_face: string): readonly Scenario[] {
	return commonScenarios;
}
