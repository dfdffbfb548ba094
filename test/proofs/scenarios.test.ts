/**
 * What the test command leaves out: the contract over a unix socket, behind PgBouncer and, but for pg's Pool, over TLS; through
 * Kysely's own dialect; and through all with the sentinel.
 */
import { faces } from "../faces/index.ts";
import { describeScenarios } from "../scenarios/describe.ts";
import { isUsual, pooledSubjectsOf, type Subject, subjectsOf } from "../scenarios/subjects.ts";

const subjects = [...subjectsOf(faces), ...pooledSubjectsOf(faces)];
const others = subjects.filter((subject) => !isUsual(subject));
const isOverPg = ({ face, transport }: Subject): boolean => transport === "TCP" || face.library === "pg";
describeScenarios("a fork, with other ways to pg's Pool", others.filter(isOverPg));
describeScenarios(
	"a fork, over other transports",
	others.filter((subject) => !isOverPg(subject)),
);
describeScenarios(
	"a fork, with the sentinel",
	subjects.filter(({ transport }) => transport === "TCP").map((subject) => ({ ...subject, imports: ["@forksafe/sentinel"] })),
);
