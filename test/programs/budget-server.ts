/** `budget-server.ts TOTAL RESERVE`: serves a budget, and tells where. */
import process from "node:process";
import { connectionBudget } from "@forksafe/cluster";

const [total, reserve] = process.argv.slice(2).map(Number);
connectionBudget({ total: total as number, reserve: reserve as number });
process.send?.(process.env["FORKSAFE_BUDGET"]);
process.once("disconnect", () => process.exit());
