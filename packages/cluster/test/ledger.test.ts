import { expect } from "chai";
import { type Account, Ledger, SETTLING_MILLIS, TURN_MILLIS } from "../src/ledger.ts";
import type { ToProcess } from "../src/messages.ts";

/** Processes that do as they are told at once, and a clock that goes when it is told. */
class World {
	now = 0;
	readonly ledger: Ledger;

	constructor(permits: number, reserve = 0) {
		this.ledger = new Ledger(permits, reserve, () => this.now);
	}

	join(isObedient = true): Member {
		return new Member(this.ledger, isObedient);
	}

	pass(millis: number): void {
		for (const end = this.now + millis; this.now < end; this.now += 100) this.ledger.tick();
	}
}

class Member {
	readonly account: Account;
	readonly #ledger: Ledger;
	readonly told: ToProcess[] = [];
	grants = 0;

	constructor(ledger: Ledger, isObedient: boolean) {
		this.#ledger = ledger;
		this.account = ledger.join((message) => {
			this.told.push(message);
			this.grants += message.grants ?? 0;
			const { keep } = message;
			if (isObedient && keep !== null && keep !== undefined) queueMicrotask(() => this.returnDownTo(keep));
		});
	}

	get held(): number {
		return this.account.held;
	}

	ask(asks: number): void {
		this.#ledger.receive(this.account, { asks });
	}

	/** It goes on wanting what it gives back. */
	returnDownTo(keep: number): void {
		const returns = Math.max(0, this.held - keep);
		this.#ledger.receive(this.account, { returns, asks: returns });
	}

	return(returns: number): void {
		this.#ledger.receive(this.account, { returns });
	}
}

describe("the ledger", () => {
	it("grants what is free, and no more", () => {
		const { ledger, ...world } = new World(5);
		const member = new Member(ledger, true);
		void world;
		member.ask(8);
		expect(member.grants).to.equal(5);
		expect(ledger.stats()).to.deep.equal({ processes: 1, held: 5, free: 0, waiting: 3, withheld: 0 });
		member.return(2);
		expect(member).to.include({ grants: 7, held: 5 });
	});

	it("tells who holds more than their share to give it back, and whom to give it to is who waits", async () => {
		const world = new World(20);
		const [greedy, late] = [world.join(), world.join()];
		greedy.ask(40);
		late.ask(3);
		await Promise.resolve();
		expect(greedy.held).to.equal(17);
		expect(late.held).to.equal(3);
		late.ask(30);
		await Promise.resolve();
		expect([greedy.held, late.held]).to.deep.equal([10, 10]);
	});

	it("says so when nobody waits any more", () => {
		const world = new World(4);
		const [holder, waiter] = [world.join(false), world.join(false)];
		holder.ask(4);
		waiter.ask(2);
		expect(holder.told.at(-1)).to.deep.equal({ keep: 2, spare: 0 });
		waiter.ask(-2);
		expect(holder.told.at(-1)).to.deep.equal({ keep: null, spare: 0 });
	});

	it("asks those who wait for nothing for what they can spare, when those who wait have their share already", () => {
		const world = new World(4);
		const [quiet, busy] = [world.join(false), world.join(false)];
		quiet.ask(2);
		busy.ask(5);
		expect(quiet.told.some(({ spare = 0 }) => spare > 0)).to.equal(false);
		world.pass(100);
		expect(quiet.told.at(-1)).to.deep.equal({ keep: null, spare: 3 });
		busy.ask(-3);
		expect(quiet.told.at(-1)).to.deep.equal({ keep: null, spare: 0 });
	});

	it("gives those their turn who would have none, when there are fewer permits than processes", async () => {
		const world = new World(2);
		const members = Array.from({ length: 5 }, () => world.join());
		for (const member of members) member.ask(3);
		const seen = members.map(() => 0);
		for (let turn = 0; turn < 500; turn++) {
			world.pass(100);
			await Promise.resolve();
			expect(world.ledger.stats().held).to.equal(2);
			for (const [index, { held }] of members.entries()) seen[index] = (seen[index] ?? 0) + held;
		}
		// 1,000 among 5.
		for (const turns of seen) expect(turns, seen.join()).to.be.within(160, 260);
	});

	it("gives everybody their turn with what cannot be divided", async () => {
		const world = new World(20);
		const members = Array.from({ length: 3 }, () => world.join());
		for (const member of members) member.ask(20);
		const seen = members.map(() => 0);
		for (let turn = 0; turn < 300; turn++) {
			world.pass(100);
			await Promise.resolve();
			for (const [index, { held }] of members.entries()) if (held === 6) seen[index] = (seen[index] ?? 0) + 1;
		}
		for (const turns of seen) expect(turns).to.be.within(90, 110);
		expect(TURN_MILLIS).to.equal(500);
	});

	it("lets the permits of the dead be used at once as far as the reserve goes, the rest when the server has noticed", () => {
		const world = new World(10, 3);
		const [dying, other] = [world.join(), world.join()];
		dying.ask(8);
		other.ask(2);
		other.ask(8);
		world.ledger.leave(dying.account);
		expect(other.held).to.equal(5);
		expect(world.ledger.stats()).to.include({ withheld: 5, free: 0 });
		world.pass(SETTLING_MILLIS - 100);
		expect(other.held).to.equal(5);
		world.pass(300);
		expect(other.held).to.equal(10);
		expect(world.ledger.stats().withheld).to.equal(0);
	});

	it("does not lend the reserve twice", () => {
		const world = new World(10, 3);
		const [first, second, other] = [world.join(), world.join(), world.join()];
		for (const member of [first, second]) member.ask(5);
		other.ask(10);
		world.ledger.leave(first.account);
		world.ledger.leave(second.account);
		expect(other.held).to.equal(3);
	});

	it("counts what a process holds that comes back, and grants nothing above the total", () => {
		const world = new World(5);
		const [returning, other] = [world.join(), world.join()];
		other.ask(4);
		world.ledger.receive(returning.account, { holds: 3, asks: 1 });
		expect([returning.held, other.held]).to.deep.equal([3, 4]);
		other.return(2);
		expect([returning.held, other.held]).to.deep.equal([3, 2]);
	});

	it("tells each its share, which together are the total, whenever one comes or goes", () => {
		const world = new World(20);
		const members = Array.from({ length: 3 }, () => world.join());
		expect(members.map(({ account }) => account.share)).to.deep.equal([7, 7, 6]);
		const [first, ...others] = members;
		world.ledger.leave((first as Member).account);
		expect(others.map(({ told }) => told.at(-1))).to.deep.equal([{ share: 10 }, { share: 10 }]);
	});
});
