/** The contract through Knex and Kysely over a unix socket and TLS: what the test command leaves out. */
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isUsual, subjectsOf } from "../scenarios/subjects.ts";

describeScenarios(subjectsOf(faces).filter((subject) => !isUsual(subject)));
