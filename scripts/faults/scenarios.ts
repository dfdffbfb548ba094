import { crowds } from "./crowds.ts";
import { losses } from "./losses.ts";
import { refusals } from "./refusals.ts";
import { restarts } from "./restarts.ts";
import type { Scenario } from "./scenario.ts";
import { silences } from "./silences.ts";

/** Every fault, in the order of the table. */
export const scenarios: readonly Scenario[] = [...restarts, ...losses, ...silences, ...crowds, ...refusals];
