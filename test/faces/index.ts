import { coreFace, plainCoreFace } from "./core.ts";
import type { Face } from "./face.ts";
import { knexFace, plainKnexFace } from "./knex.ts";
import { knexMysqlFace, plainKnexMysqlFace } from "./knex-mysql.ts";
import { kyselyFace, kyselyOwnDialectFace, plainKyselyFace } from "./kysely.ts";
import { kyselyMysqlFace, plainKyselyMysqlFace } from "./kysely-mysql.ts";
import { pgFace, plainPgFace } from "./pg.ts";

/** Every pool under test: ours, and the unprotected ones that the same scenarios have to break. */
export const faces: readonly Face[] = [
	coreFace,
	pgFace,
	knexFace,
	knexMysqlFace,
	kyselyFace,
	kyselyOwnDialectFace,
	kyselyMysqlFace,
	plainCoreFace,
	plainPgFace,
	plainKnexFace,
	plainKnexMysqlFace,
	plainKyselyFace,
	plainKyselyMysqlFace,
];
