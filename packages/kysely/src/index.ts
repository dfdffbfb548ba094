export { ForkSafePostgresDialect, type ForkSafePostgresDialectConfig } from "./postgres-dialect.ts";
