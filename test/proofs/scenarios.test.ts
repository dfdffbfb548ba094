/**
 * What the test command leaves out: the contract through core, Knex and Kysely over a unix socket and TLS, through Knex and Kysely
 * behind PgBouncer, and through all with the sentinel.
 */
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isUsual, pooledSubjectsOf, subjectsOf } from "../scenarios/subjects.ts";

const subjects = [...subjectsOf(faces), ...pooledSubjectsOf(faces)];
const imports = ["@forksafe/sentinel"];
describeScenarios([
	...subjects.filter((subject) => !isUsual(subject)),
	...subjects.filter(({ transport }) => transport === "TCP").map((subject) => ({ ...subject, imports })),
]);
