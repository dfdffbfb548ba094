/**
 * Max-min fair: nobody gets more than they ask for, and nobody could have more but at the cost of somebody who has no more. What
 * cannot be divided goes to those that stand first.
 *
 * @returns the share of each, in the order of the demands; together they are never above `total`
 */
export function fairShares(total: number, demands: readonly number[]): number[] {
	const shares = demands.map(() => 0);
	let left = total;
	let modest = 0;
	const byDemand = demands.map((demand, index) => ({ demand, index })).sort((a, b) => a.demand - b.demand);
	for (const { demand, index } of byDemand) {
		if (demand > Math.floor(left / (byDemand.length - modest))) break;
		shares[index] = demand;
		left -= demand;
		modest++;
	}
	const others = byDemand.slice(modest).sort((a, b) => a.index - b.index);
	const even = Math.floor(left / Math.max(1, others.length));
	const odd = left - even * others.length;
	for (const [position, { index }] of others.entries()) shares[index] = even + (position < odd ? 1 : 0);
	return shares;
}
