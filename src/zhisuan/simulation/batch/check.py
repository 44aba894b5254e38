"""Whether a plan keeps every rule, said job by job and card by card, without a line of what made it."""

from collections import Counter

from zhisuan.placement.batch.types import BatchPlan, Problem


def problems_of(problem: Problem, plan: BatchPlan) -> list[str]:
    """Every rule broken, in words; empty for a plan that can be carried out and whose sum is right."""
    wrong: list[str] = []
    jobs = {job.id: job.wish for job in problem.jobs}
    sites = {site.id: site for site in problem.sites}
    named = [one.job for one in plan.starts] + [one.job for one in plan.left_out]
    if sorted(named) != sorted(jobs):
        wrong.append("not every job is planned or left out exactly once")
    use: Counter[tuple[str, int]] = Counter()
    total = sum(jobs[one.job].value_ucny for one in plan.left_out)
    for one in plan.starts:
        wish, site = jobs[one.job], sites[one.site]
        rates = dict(wish.rates)
        if site.device_class not in rates:
            wrong.append(f"{one.job}: class {site.device_class} will not do")
            continue
        slots, rest = divmod(wish.milli_slots, rates[site.device_class])
        slots += rest > 0
        if one.slots != slots or one.slot < wish.release or one.slot + slots > min(wish.deadline, problem.slots):
            wrong.append(f"{one.job}: not within its time")
        if {site.id, site.provider} & wish.deny or (wish.allow and not {site.id, site.provider} & wish.allow):
            wrong.append(f"{one.job}: {site.id} is not allowed")
        if wish.regions and site.region not in wish.regions:
            wrong.append(f"{one.job}: {site.region} is not allowed")
        if wish.cards_per_node > site.cards_per_node or wish.nodes > site.gang_nodes_max:
            wrong.append(f"{one.job}: the nodes of {site.id} do not fit")
        hours = range(one.slot, one.slot + slots)
        use.update({(site.id, slot): wish.nodes * wish.cards_per_node for slot in hours})
        money = sum(site.price_ucny[slot] for slot in hours) * wish.price_percent // 100
        green = sum(site.carbon_mg[slot] * problem.weights.carbon_ucny_per_kg // 1_000_000 for slot in hours)
        late = max(one.slot + slots - wish.due, 0) * problem.weights.late_ucny
        cost = wish.nodes * wish.cards_per_node * (money + green + late)
        if cost != one.cost_ucny:
            wrong.append(f"{one.job}: costs {cost}, not {one.cost_ucny}")
        total += cost
    wrong += [f"{site}: {n} cards in slot {t}" for (site, t), n in sorted(use.items()) if n > sites[site].cards[t]]
    if total != plan.objective_ucny or plan.bound_ucny > total:
        wrong.append(f"the objective is {total}, not {plan.objective_ucny}, or its bound {plan.bound_ucny} is above it")
    return wrong
