export { type Budget, type BudgetOptions, type BudgetStats, connectionBudget } from "./budget.ts";
export { connectionPermits } from "./process-permits.ts";
export { type ShareOptions, shareOf } from "./share-of.ts";
