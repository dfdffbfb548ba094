/**
 * What the test command leaves out: the contract over a unix socket, behind PgBouncer and, but for pg's Pool, over TLS; through
 * Kysely's own dialect; with `afterFork()` through Knex and Kysely; and through all with the sentinel.
 */
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isPool, isUsual, type Subject, subjectsOf } from "../scenarios/subjects.ts";

const subjects = subjectsOf(faces);
const overTcp = subjects.filter(({ transport }) => transport === "TCP");
const isNearPg = ({ face, transport }: Subject): boolean =>
	face.library === "pg" || (face.library === "kysely-own" && transport === "TCP");
const others = subjects.filter((subject) => !isUsual(subject));

describeScenarios("a fork, by other ways to pg's Pool", others.filter(isNearPg));
describeScenarios(
	"a fork, with a hook",
	overTcp.filter((subject) => isUsual(subject) && !isPool(subject)).map((subject) => ({ ...subject, hook: true })),
);
describeScenarios(
	"a fork, over other transports",
	others.filter((subject) => !isNearPg(subject)),
);
describeScenarios(
	"a fork, with the sentinel",
	overTcp.map((subject) => ({ ...subject, imports: ["@forksafe/sentinel"] })),
);
