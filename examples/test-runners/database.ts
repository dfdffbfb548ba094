/** A pool at module level, as applications have it. It is loaded once by each process, thread or, with jest, test file. */
import process from "node:process";
import { ForkSafePostgres } from "@forksafe/knex";
import knex from "knex";

const { DATABASE_URL = "" } = process.env;

// Knex keeps two connections, unless it is told otherwise. They let the process exit.
export const db = knex({ client: ForkSafePostgres, connection: DATABASE_URL });
