#!/usr/bin/env python3
"""Computes what the leaderboard says again, from the accuracies of each seed and with scipy's distributions, and says what differs.

    recompute.py TOMBOLA --store STORE [SWEEP ...] [--verbose]

A second implementation of the verdicts, written from their definitions; where these leave a case open it does as the comments of
Tombola's code say. It has scipy's t and noncentral t where Tombola has series of its own. `TOMBOLA export` gives each seed's
results; from these come, for each sweep,

- each row of `leaderboard --json`: means and intervals, paired differences, bootstrap, verdict, decided, seeds that would decide,
  controls, best dense recipe, barriers, collapse, rank, and how many replicates `refine` asks for and where `stop_when` ends chains;
- each level of `leaderboard --by-density --json`, with the p of matching (fixed sequence) and of winning (Holm);
- `contrast --json` of each axis against each control, for all levels, and for the last one named alone;
- each training's early-stop step (after at least one step of it) and the accuracies that are reported, from its evaluations.

Prints a line per sweep with the number of values that were compared and of those that differ, and each difference with its place, as
Tombola says it and as it is here. Exits with 1 if any differ. Numbers may differ by 1e-9 of themselves or by 1e-11, the accuracy that
Tombola's tails have; words and counts may not differ. Not computed: which layers collapsed, the sentence of a `reason`, and the density
of levels that were not trained. The size of the test set, which no table says, is the least that all accuracies are shares of. Needs
numpy and scipy.
"""
import argparse
import collections
import fractions
import json
import math
import statistics
import subprocess
import sys

import numpy
from scipy import stats

ERROR, TIE, POWER, MOST = 0.025, 1e-12, 0.8, 50
BOOTSTRAP, RESAMPLES, RANK, LEAST = 64, 1999, 50, 8
STABLE = 0.02
NAMED = 0.05  # how far a density may be from what `winning_at` calls it
ABOVE = f"> {MOST}"
ANY = object()  # not computed here


# What Tombola says.

class Program:
    def __init__(self, path, store):
        self.path, self.store = path, store

    def run(self, *arguments):
        return subprocess.run([self.path, *arguments, "--store", self.store, "--json"], capture_output=True, text=True)

    def json(self, *arguments):
        result = self.run(*arguments)
        if result.returncode != 0:
            sys.exit(f"tombola {' '.join(arguments)}: {result.stderr.strip()}")
        return json.loads(result.stdout)


class Training:
    """A row of `export --table levels`: a diverged network gets no image right and stops nowhere."""

    def __init__(self, row, report):
        self.task, self.state, self.density = row["task"], row["state"], row["density"]
        self.emptied, self.barrier = row["emptied_layers"] or 0, row.get("barrier")
        self.diverged_at, self.first_step = row["diverged_at"], row["first_step"]
        self.is_done, self.diverged = row["state"] == "done", row["diverged_at"] is not None
        self.stop, self.accuracy, self.validation = None, None, None
        if self.diverged:
            self.accuracy = 0.0
        elif self.is_done:
            self.accuracy = row[f"{'early_stop' if report == 'early-stop' else 'final'}_test_accuracy"]
            self.stop, self.validation = row["early_stop_step"], row["final_validation_accuracy"]


# Estimates and tests.

def average(values):
    """Of equal values the value itself, to the last bit: densities and ranks are told apart by it."""
    return statistics.mean(float(value) for value in values)


def interval(values):
    """The mean with its 95 % t interval, as JSON has it."""
    if values is None or len(values) == 0:
        return None
    values = numpy.asarray(values, float)
    if len(values) == 1:
        return {"mean": values[0], "low": None, "high": None}
    reach = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    mean = average(values)
    return {"mean": mean, "low": mean - reach, "high": mean + reach}


def geometric(logarithms):
    estimate = interval(logarithms)
    return estimate and {key: None if value is None else math.exp(min(max(value, -700), 700)) for key, value in estimate.items()}


def philox(epochs, index):
    """Four words of 32 bits at (epoch, index) of the bootstrap's stream under seed 0, for many epochs at once."""
    low = numpy.uint64(0xFFFFFFFF)
    shift = numpy.uint64(32)
    counter = [numpy.full_like(epochs, index), numpy.zeros_like(epochs), epochs, numpy.full_like(epochs, BOOTSTRAP)]
    key = [0, 0]
    for _ in range(10):
        first, second = numpy.uint64(0xD2511F53) * counter[0], numpy.uint64(0xCD9E8D57) * counter[2]
        counter = [(second >> shift) ^ counter[1] ^ numpy.uint64(key[0]), second & low,
                   (first >> shift) ^ counter[3] ^ numpy.uint64(key[1]), first & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def bootstrap(values):
    """Percentile-t (Efron & Tibshirani 1993, 12.5) with Tombola's own resamples."""
    if values is None or len(values) < LEAST:
        return None
    values = numpy.asarray(values, float)
    count, mean, spread = len(values), values.mean(), values.std(ddof=1)
    if len(set(values)) == 1:
        return {"mean": mean, "low": mean, "high": mean}
    epochs = numpy.arange(RESAMPLES, dtype=numpy.uint64)
    words = numpy.stack([word for index in range(-(-count // 4)) for word in philox(epochs, index)], axis=1)[:, :count]
    samples = (values - mean)[(words * numpy.uint64(count) >> numpy.uint64(32)).astype(int)]
    shifts, deviations = samples.mean(axis=1), samples.std(axis=1, ddof=1)
    flat = deviations <= spread * 1e-12
    with numpy.errstate(divide="ignore", invalid="ignore"):
        units = numpy.where(flat, numpy.sign(shifts) * numpy.inf, shifts / (deviations / math.sqrt(count)))
    units = numpy.sort(numpy.where(numpy.isnan(units), 0, units))
    least, most = units[RANK - 1], units[RESAMPLES - RANK]
    if not (math.isfinite(least) and math.isfinite(most)):
        return None
    error = spread / math.sqrt(count)
    return {"mean": mean, "low": mean - most * error, "high": mean - least * error}


class Sample:
    """Paired differences, and one-sided tests of their mean by looks that share the error."""

    def __init__(self, differences, looks, resolution=0.0):
        self.values, self.looks, self.resolution = numpy.asarray(differences, float), looks, resolution

    def spread(self, count):
        return max(self.values[:count].std(ddof=1), self.resolution)

    def single(self, sign, bound, count):
        """p that sign · mean is above sign · bound, of the first `count` differences."""
        if count < 2 or count > len(self.values):
            return 1.0
        distance, spread = sign * (self.values[:count].mean() - bound), self.spread(count)
        if spread < 1e-15:
            return 0.0 if distance > 0 else 1.0
        return stats.t.sf(distance * math.sqrt(count) / spread, count - 1)

    def over_looks(self, probability):
        reached = [probability(look) for look in self.looks if look <= len(self.values)]
        return min(1.0, min(reached, default=1.0) * len(self.looks))

    def above(self, bound, count=None):
        return self.claim(1, bound + TIE, count)

    def below(self, bound, count=None):
        return self.claim(-1, bound - TIE, count)

    def at_most(self, bound, count=None):
        return self.claim(-1, bound + TIE, count)

    def claim(self, sign, bound, count):
        if count is not None:
            return self.single(sign, bound, count)
        return self.over_looks(lambda look: self.single(sign, bound, look))

    def more_seeds(self, bound, error):
        """How many more would decide with a chance of 80 %, were mean and spread what they are so far."""
        count = len(self.values)
        if count < 2:
            return None
        distance = abs(self.values.mean() - bound)
        if distance == 0:
            return ABOVE
        counts = numpy.arange(count + 1, count + MOST + 1)
        shift = distance / max(self.spread(count), 1e-300) * numpy.sqrt(counts)
        # So far out scipy's series ends in nan; there the power is 1.
        power = numpy.where(shift > 1e3, 1, stats.nct.sf(stats.t.isf(error, counts - 1), counts - 1, numpy.minimum(shift, 1e3)))
        enough = counts[power >= POWER]
        return int(enough[0]) - count if len(enough) else ABOVE


def decision(claim, opposite):
    return "yes" if claim <= ERROR else "no" if opposite <= ERROR else "undecided"


def most_seeds(numbers):
    return max(numbers, key=lambda number: MOST + 1 if number == ABOVE else number, default=None)


def least_seeds(numbers):
    return min((number for number in numbers if number is not None), key=lambda number: MOST + 1 if number == ABOVE else number,
               default=None)


def accuracies(outcomes):
    return None if outcomes is None else [outcome.accuracy for outcome in outcomes]


def differences(ones, others):
    return [one.accuracy - other.accuracy for one, other in zip(ones, others)]


class Comparison:
    """Tickets of one level beside their dense networks."""

    def __init__(self, tickets, dense, density, margin, to_start, looks, resolution):
        self.density, self.margin, self.to_start, self.looks = density, margin, to_start, looks
        self.accuracy = Sample(differences(tickets, dense), looks, resolution)
        stops = [(ticket.stop, one.stop) for ticket, one in zip(tickets, dense)]
        self.has_stops = all(None not in pair for pair in stops)
        known = next((index for index, pair in enumerate(stops) if None in pair), len(stops))
        self.ratio = Sample([math.log(max(one, 1) / max(other, 1)) for one, other in stops[:known]], looks)
        self.mean = self.accuracy.values.mean()
        self.matches = self.mean > -margin + TIE
        self.is_level = self.mean >= -TIE
        self.wins = (to_start and self.matches and self.is_level and self.has_stops
                     and math.exp(self.ratio.values.mean()) <= 1 + TIE)
        self.p_match, self.p_miss = self.accuracy.above(-margin), self.accuracy.below(-margin)
        self.p_win, self.p_lose = 1.0, 0.0
        if to_start:
            self.p_win = self.ratio.over_looks(self.winning)
            self.p_lose = min(1.0, 2 * min(self.accuracy.below(0), self.ratio.above(0)))

    def winning(self, count):
        if count < 2 or count > len(self.ratio.values) or self.accuracy.values[:count].mean() < -TIE:
            return 1.0
        return max(self.accuracy.above(-self.margin, count), self.ratio.at_most(0, count))

    def seeds_to_match(self):
        return self.accuracy.more_seeds(-self.margin, ERROR / len(self.looks))

    def seeds_to_win(self, rivals):
        error = ERROR / len(self.looks)
        count = len(self.ratio.values)
        if not self.wins:
            return least_seeds([None if self.is_level else self.accuracy.more_seeds(0, error / 2),
                                self.ratio.more_seeds(0, error / 2) if self.has_stops and self.ratio.values.mean() > 0 else None])
        needed = []
        if self.accuracy.above(-self.margin, count) > error / rivals:
            needed.append(self.accuracy.more_seeds(-self.margin, error / rivals))
        if self.ratio.at_most(0, count) > error / rivals:
            needed.append(self.ratio.more_seeds(0, error / rivals))
        return None if None in needed else most_seeds(needed)


def holm(probabilities):
    """Adjusted p: of the k-th least of m the greatest of (m - j + 1) times the j-th, j ≤ k."""
    order = numpy.argsort(probabilities, kind="stable")
    factors = len(probabilities) - numpy.arange(len(probabilities))
    adjusted = numpy.empty(len(probabilities))
    adjusted[order] = numpy.maximum.accumulate(numpy.minimum(1, factors * numpy.asarray(probabilities)[order]))
    return adjusted


class Chain:
    """The tests of all levels of a point: matching by the fixed sequence, winning by Holm at the named levels."""

    def __init__(self, comparisons, named):
        """`comparisons`: of the sparse levels, None where not all is done. `named`: their indices, None for all."""
        self.named = named
        self.levels = [one if one is None or one.density < 1 else None for one in comparisons]
        self.sequence = [index for index, one in enumerate(comparisons) if one is None or one.density < 1]
        self.matching, self.p_match = {}, {}
        greatest = 0.0
        for index in self.sequence:
            one = self.levels[index]
            greatest = max(greatest, 1.0 if one is None else one.p_match)
            if one is not None:
                self.p_match[index], self.matching[index] = greatest, decision(greatest, one.p_miss)
        # With nothing to compare no design is known, and no level has a finding anyway.
        self.hypotheses = [index for index in self.sequence if named is None or index in named]
        adjusted = holm([1.0 if self.levels[index] is None else self.levels[index].p_win for index in self.hypotheses])
        claims = dict(zip(self.hypotheses, adjusted))
        self.p_win = {index: claims.get(index, 1.0) for index, one in enumerate(self.levels) if one is not None}
        self.winning = {index: decision(p, self.levels[index].p_lose) for index, p in self.p_win.items()}

    def seeds_to_match(self, level):
        if self.matching.get(level) != "undecided":
            return None
        needed = []
        for index in self.sequence[:self.sequence.index(level) + 1]:
            if self.matching.get(index) in (None, "no"):
                return None
            if self.matching[index] == "undecided" and self.levels[index].p_match > ERROR:
                needed.append(self.levels[index].seeds_to_match())
        return None if None in needed else most_seeds(needed)

    def seeds_to_miss_all(self, length):
        """Of the levels that the chain has come to."""
        sequence = [index for index in self.sequence if index < length]
        if any(index not in self.matching for index in sequence):
            return None
        needed = [self.levels[index].seeds_to_match() for index in sequence if self.matching[index] != "no"]
        return None if None in needed else most_seeds(needed)

    def seeds_to_win(self, level):
        if self.winning.get(level) != "undecided" or level not in self.hypotheses:
            return None
        decided = sum(word == "yes" for word in self.winning.values())
        return self.levels[level].seeds_to_win(max(1, len(self.hypotheses) - decided))


# Points.

def words(text):
    return (text or "").split()


class Sweep:
    def __init__(self, program, name, axes):
        self.name, self.axes = name, axes
        runs = program.json("export", name, "--table", "runs")
        self.settings = {}
        for row in runs:
            self.settings.setdefault(row["point"], row)
        any_settings = runs[0]
        self.branches = [(branch.split(":")[0], [int(level) for level in branch.split(":")[1:]])
                         for branch in words(any_settings["branches"])]
        looks = [int(look) for look in words(any_settings["refine.looks"])] if any_settings["refine.looks"] else None
        self.refines, self.looks = looks is not None, looks or [any_settings["replicates"]]
        self.budget = any_settings["refine.budget"]
        self.stop_margin, self.stop_levels = any_settings["stop_when.margin"], any_settings["stop_when.levels"]
        self.winning_at = [float(density) for density in words(any_settings["winning_at"])]
        self.has_siblings = any_settings.get("instability_points") is not None
        self.trainings = collections.defaultdict(dict)
        denominators = collections.defaultdict(set)
        for row in program.json("export", name, "--table", "levels"):
            settings = self.settings[row["point"]]
            self.trainings[row["point"]][row["replicate"], row["branch"], row["level"]] = Training(row, settings["report"])
            for column in ("early_stop_test_accuracy", "final_test_accuracy"):
                if row[column] is not None:
                    share = fractions.Fraction(row[column]).limit_denominator(200_000)
                    denominators[settings["dataset"]].add(share.denominator)
        # One image of the test set, whose size no table says: the least that two accuracies can differ by.
        self.resolutions = {dataset: 1 / math.lcm(*found) for dataset, found in denominators.items()}
        self.barriers(program)
        self.points = [Point(self, index) for index in sorted(self.settings)]
        if self.refines:
            self.refine()
        self.best = self.best_recipes()

    def best_recipes(self):
        """For each subject the best dense recipe, as the first point with the most replicates of it; recipes are told apart on those of all."""
        recipes = collections.defaultdict(dict)
        for point in self.points:
            if point.dense is not None:
                known = recipes[point.subject].get(point.dense[0].task)
                if known is None or len(known.dense) < len(point.dense):
                    recipes[point.subject][point.dense[0].task] = point
        best = {}
        for subject, points in recipes.items():
            points = [point for point in points.values() if point.validation is not None]
            common = min((len(point.dense) for point in points), default=0)
            for point in points:
                mean = average(point.validation[:common])
                if subject not in best or mean > best[subject][0] + TIE:
                    best[subject] = mean, point
        return {subject: point for subject, (_, point) in best.items()}

    def barriers(self, program):
        """The barrier of each sibling, from the errors on the line."""
        errors = collections.defaultdict(dict)
        if self.has_siblings:
            for row in program.json("export", self.name, "--table", "connectivity"):
                errors[row["point"], row["replicate"], row["level"]][row["alpha"]] = row["test_error"]
        for (point, replicate, level), line in errors.items():
            training = self.trainings[point][replicate, "sibling", level]
            if training.barrier is not None:
                training.barrier = max(line.values()) - (line[0] + line[1]) / 2

    def refine(self):
        """From look to look: the undecided get the next one's replicates, those that need the fewest seeds first."""
        left = math.inf if self.budget is None else self.budget
        candidates, waiting = list(self.points), 0
        for look, following in zip(self.looks, self.looks[1:]):
            undecided = []
            for point in candidates:
                seeds = point.at_look(look)
                if seeds == "waiting":
                    waiting += 1
                elif seeds != "broken":
                    point.evaluate(look, look)
                    if seeds is not None:
                        undecided.append((MOST + 1 if seeds == ABOVE else seeds, point.index, point))
            affordable = left // (following - look)
            if len(undecided) + waiting > affordable:
                if waiting:
                    return
                undecided = sorted(undecided)[:int(affordable)]
            left -= (following - look) * (len(undecided) + waiting)
            candidates = [self.points[index] for index in sorted(entry[1] for entry in undecided)]
            for point in candidates:
                point.evaluate(point.tested, following)
        for point in candidates:
            if point.at_look(point.asked) not in ("waiting", "broken"):
                point.evaluate(point.asked, point.asked)

    def rows(self):
        rows = sorted((point.row() for point in self.points), key=lambda row: (
            2 if row["density"] is None else 0 if row["decided"] == "yes" else 1,
            1 if row["density"] is None else row["density"],
            # Means of as many images are equal, whatever rounding says.
            -round((row["accuracy"] or row["dense"] or {"mean": 0})["mean"], 12), row["point_index"]))
        return [dict(row, rank=rank) for rank, row in enumerate(rows, 1)]


class Point:
    def __init__(self, sweep, index):
        self.sweep, self.index, self.settings = sweep, index, sweep.settings[index]
        self.trainings = sweep.trainings[index]
        self.margin, self.count = self.settings["matching_margin"], self.settings["pruning.levels"]
        self.to_start = self.settings["pruning.rewind"] == 0 and self.settings["pruning.retrain"] == "weight-rewinding"
        self.resolution = sweep.resolutions.get(self.settings["dataset"], 0.0)
        self.coordinates = {axis: self.settings[axis] if axis in self.settings else ANY for axis in sweep.axes}
        # How θ0 is drawn belongs to the recipe.
        self.subject = tuple((key, value) for key, value in sorted(self.settings.items()) if key in ("dataset", "report")
                             or key.startswith(("data.", "model.")) and key != "model.initialisation")
        self.length, self.is_stopped = self.stop()
        self.evaluate(sweep.looks[0], sweep.looks[0])

    def outcomes(self, branch, level, replicates):
        found = [self.trainings.get((replicate, branch, level)) for replicate in range(replicates)]
        return found if all(one is not None and one.is_done for one in found) else None

    def stop(self):
        """Levels that `stop_when` leaves by the means of the first look, and whether it ended the chain."""
        if self.sweep.stop_margin is None:
            return self.count, False
        first, below = self.sweep.looks[0], 0
        for level in range(1, self.count + 1):
            tickets, dense = self.outcomes("ticket", level, first), self.outcomes("dense", 0, first)
            if tickets is None or dense is None:
                return min(self.count, level - 1 + self.sweep.stop_levels - below), False
            below = below + 1 if numpy.mean(differences(tickets, dense)) < -self.sweep.stop_margin - TIE else 0
            if below == self.sweep.stop_levels:
                return level, level < self.count
        return self.count, False

    def at_look(self, look):
        tested, asked = self.tested, self.asked
        self.evaluate(look, look)
        progress, decided, seeds = self.progress, self.decided, self.more_seeds
        was_cancelled = self.was_cancelled
        self.evaluate(tested, asked)
        if progress == "pending":
            return "waiting"
        if progress == "failed" or was_cancelled:
            return "broken"
        return seeds if decided == "undecided" else None

    def chain(self, replicate, length):
        """The chain's trainings, with those of the chain that gives masks, early-bird ones not; each once."""
        found = {}
        for (number, branch, level), training in self.trainings.items():
            if number == replicate and (branch == "dense" or branch == "ticket" and level <= length
                                        or branch == "mask_from" and level < length):
                found[training.task] = training
        return found.values()

    def evaluate(self, tested, asked):
        self.tested, self.asked = tested, asked
        sweep = self.sweep
        self.dense = self.outcomes("dense", 0, tested)
        validation = [one.validation for one in self.dense or []]
        self.validation = None if not validation or None in validation else validation
        givers = [self.trainings.get((replicate, "mask_from", 0)) for replicate in range(tested)]
        ranked = self.settings["pruning.rank_at"]
        last_step = math.inf if ranked == "end" else int(ranked)
        givers = [giver for giver in givers if giver is not None] or self.dense or []
        all_dense = [self.trainings.get((replicate, "dense", 0)) for replicate in range(tested)]
        self.incomparable = (any(one is not None and one.diverged for one in all_dense)
                             or any(one.diverged and one.diverged_at < last_step for one in givers))
        self.beyond = [self.is_stopped and level > self.length for level in range(1, self.count + 1)]
        self.tickets = [None if beyond else self.outcomes("ticket", level, tested) for level, beyond in enumerate(self.beyond, 1)]
        self.densities = [None if tickets is None else average(one.density for one in tickets) for tickets in self.tickets]
        self.comparisons = [
            None if tickets is None or self.dense is None or self.incomparable
            else Comparison(tickets, self.dense, density, self.margin, self.to_start, sweep.looks, self.resolution)
            for tickets, density in zip(self.tickets, self.densities)]
        self.test = Chain(self.comparisons, self.named())
        chains = [list(self.chain(replicate, self.length if self.is_stopped else self.count)) for replicate in range(asked)]
        everything = [training for chain in chains for training in chain]
        self.counts = {"trainings": len(everything), "trainings_done": sum(one.is_done for one in everything),
                       "diverged": sum(one.diverged for one in everything)}
        states = {one.state for one in everything} - {"done", "pending"}
        self.failed = bool(states - {"cancelled", "stopped"})
        self.was_cancelled = bool(states)
        is_pending = any(one.state == "pending" for chain in chains[:tested] for one in chain)
        self.progress = ("failed" if self.failed else "stopped" if states else "pending" if is_pending
                         else "stopped" if self.is_stopped else "complete")
        self.headline()

    def named(self):
        """Indices of the levels that `winning_at` names: the nearest in density, if it is near; None for all."""
        densities = []
        for level in range(1, self.count + 1):
            known = self.trainings.get((0, "ticket", level))
            before = densities[-2:] if len(densities) > 1 else [1.0] + densities if densities else [1.0, 0.8]
            densities.append(known.density if known and known.is_done else before[1] * before[1] / before[0])
        named = set()
        for density in self.sweep.winning_at:
            index = min(range(self.count), key=lambda index: abs(densities[index] - density), default=None)
            if index is not None and abs(densities[index] - density) <= NAMED * density:
                named.add(index)
        return named or None

    def headline(self):
        self.level = self.found = self.matching = self.winning = self.more_seeds = None
        self.decided = "undecided"
        if self.incomparable:
            self.verdict = "failed"
            return
        sparse = [index for index, one in enumerate(self.test.levels) if one is not None]

        def sparsest(indices):
            return min(indices, key=lambda index: (self.test.levels[index].density, -index), default=None)

        def is_winner(index):
            return self.test.levels[index].wins and (self.test.named is None or index in self.test.named)

        last = sparsest(sparse)
        self.matching = sparsest([index for index in sparse if self.test.levels[index].matches])
        self.winning = sparsest([index for index in sparse if self.test.levels[index].wins])
        winner = sparsest([index for index in sparse if is_winner(index)])
        if self.progress != "complete":
            self.verdict = self.progress
        elif self.matching is None:
            self.verdict = "none"
        elif self.matching == last:
            self.verdict = "censored"
        else:
            self.verdict = "matching" if winner is None else "winning"
        self.level = self.matching if self.verdict == "censored" or winner is None else winner
        if self.level is not None:
            self.found = "winning" if is_winner(self.level) else "matching"
        if self.progress not in ("complete", "stopped"):
            return
        if self.level is None:
            length = self.length if self.is_stopped else self.count
            all_below = length > 0 and all(self.test.matching.get(index) == "no" for index in range(length))
            self.decided = "no" if all_below else "undecided"
            self.more_seeds = self.test.seeds_to_miss_all(length) if self.decided == "undecided" else None
        elif self.found == "winning":
            self.decided, self.more_seeds = self.test.winning[self.level], self.test.seeds_to_win(self.level)
        else:
            self.decided, self.more_seeds = self.test.matching[self.level], self.test.seeds_to_match(self.level)

    def lack(self, level):
        """Why a level has no comparison."""
        if self.beyond[level - 1]:
            return "stopped"
        states = {one.state for replicate in range(self.tested)
                  for one in (self.trainings.get((replicate, "dense", 0)), self.trainings.get((replicate, "ticket", level)))
                  if one is not None} - {"done", "pending"}
        if self.incomparable or states - {"cancelled", "stopped"}:
            return "failed"
        if states:
            return "stopped"
        return self.progress if level > self.length and self.progress in ("failed", "stopped") else "pending"

    # As JSON has it.

    def controls(self, level):
        """The branches beside a level; None for no level."""
        controls = []
        for name, levels in self.sweep.branches:
            tickets = None if level is None else self.tickets[level - 1]
            others = None if level is None or self.beyond[level - 1] else self.outcomes(name, level, self.tested)
            if tickets is None or others is None:
                stands = level is None or not levels or level in levels
                controls.append({"branch": name, "accuracy": None, "difference": None, "beaten": "undecided" if stands else None,
                                 "more_seeds": None})
                continue
            sample = Sample(differences(tickets, others), self.sweep.looks, self.resolution)
            beaten = decision(sample.above(0), sample.at_most(0))
            seeds = sample.more_seeds(0, ERROR / len(self.sweep.looks)) if beaten == "undecided" else None
            controls.append({"branch": name, "accuracy": interval(accuracies(others)), "difference": interval(sample.values),
                             "beaten": beaten, "more_seeds": seeds})
        return controls

    def barrier(self, level):
        """Of a level, 0 for the dense network; None for no level."""
        barriers, diverged = [], 0
        for replicate in range(self.tested) if level is not None and not (level > 0 and self.beyond[level - 1]) else []:
            sibling = self.trainings.get((replicate, "sibling", level))
            own = self.trainings.get((replicate, "ticket" if level else "dense", level))
            if sibling is None:
                continue
            diverged += (own is not None and own.diverged) + sibling.diverged
            if own is not None and own.is_done and sibling.barrier is not None:
                barriers.append(sibling.barrier)
        estimate = interval(barriers) if len(barriers) == self.tested and diverged == 0 else None
        stable = None if estimate is None or estimate["low"] is None else bool(estimate["mean"] < STABLE)
        return dict(estimate or {"mean": None, "low": None, "high": None}, stable=stable, diverged=diverged)

    def best_dense(self):
        best = self.sweep.best.get(self.subject)
        if best is None:
            return None
        gap, matching = None, "undecided"
        tickets = None if self.level is None else self.tickets[self.level]
        if tickets is not None:
            both = min(len(tickets), len(best.dense))
            one = Comparison(tickets[:both], best.dense[:both], self.densities[self.level], self.margin, False, self.sweep.looks,
                             self.resolution)
            gap, matching = interval(one.accuracy.values), Chain([one], None).matching.get(0, "undecided")
        return {"point": best.coordinates, "accuracy": interval(accuracies(best.dense)), "difference": gap, "matching": matching}

    def row(self):
        one = None if self.level is None else self.comparisons[self.level]
        level = None if self.level is None else self.level + 1
        stops = None
        if one is not None and one.has_stops:
            stops = dict(interval([ticket.stop for ticket in self.tickets[self.level]]),
                         dense=numpy.mean([dense.stop for dense in self.dense]), ratio=geometric(one.ratio.values))
        controls = self.controls(level)
        beaten = {control["branch"]: control["beaten"] for control in controls}
        both = [beaten.get("random-reinit"), beaten.get("random-mask")]
        conjunction = None if None in both else "no" if "no" in both else "yes" if both == ["yes", "yes"] else "undecided"
        collapsed = min((number for (replicate, branch, number), training in self.trainings.items()
                         if branch == "ticket" and replicate < self.tested and training.emptied), default=None)
        trained = [index for index, beyond in enumerate(self.beyond) if not beyond]
        row = {
            "sweep": self.sweep.name, "point": self.coordinates, "point_index": self.index,
            "verdict": self.verdict, "decided": self.decided,
            "density": None if one is None else one.density, "accuracy": one and interval(accuracies(self.tickets[self.level])),
            "dense": interval(accuracies(self.dense)), "early_stop": stops, "replicates": self.tested, "replicates_asked": self.asked,
            "ticket": None if level is None else self.trainings[0, "ticket", level].task[:12],
            "difference": one and interval(one.accuracy.values), "bootstrap": one and bootstrap(one.accuracy.values),
            "more_seeds": self.more_seeds, "looks": self.sweep.looks, "found": self.found, "level": level,
            "matching_density": None if self.matching is None else self.densities[self.matching],
            "winning_density": None if self.winning is None else self.densities[self.winning],
            "last_density": None if not trained else self.densities[trained[-1]] or ANY,
            "matching_margin": self.margin, "controls": controls, "beats_controls": conjunction, "best_dense": self.best_dense(),
            "collapse": collapsed and {"level": collapsed, "layers": ANY},
            "reason": ANY if self.failed or self.incomparable else None, **self.counts,
        }
        if self.sweep.has_siblings:
            row.update(dense_barrier=self.barrier(0), ticket_barrier=self.barrier(level))
        return row

    def curve(self):
        levels = [{
            "level": 0, "density": 1, "accuracy": interval(accuracies(self.dense)), "difference": None, "bootstrap": None,
            "early_stop": mean_stop(self.dense), "early_stop_ratio": None, "verdict": None, "matching": None, "matching_p": None,
            "matching_more_seeds": None, "winning": None, "winning_p": None, "winning_more_seeds": None, "controls": [], "ticket": None,
        }]
        for index, (tickets, one) in enumerate(zip(self.tickets, self.comparisons)):
            word = self.lack(index + 1) if one is None else "winning" if one.wins else "matching" if one.matches else "none"
            levels.append({
                "level": index + 1, "density": ANY if tickets is None else self.densities[index], "accuracy": interval(accuracies(tickets)),
                "difference": one and interval(one.accuracy.values), "bootstrap": one and bootstrap(one.accuracy.values),
                "early_stop": mean_stop(tickets), "early_stop_ratio": geometric(one.ratio.values) if one and one.has_stops else None,
                "verdict": word, "matching": self.test.matching.get(index),
                "matching_p": self.test.p_match.get(index), "matching_more_seeds": self.test.seeds_to_match(index),
                "winning": self.test.winning.get(index), "winning_p": self.test.p_win.get(index),
                "winning_more_seeds": self.test.seeds_to_win(index), "controls": self.controls(index + 1),
                "ticket": None if tickets is None else tickets[0].task[:12],
            })
        if self.sweep.has_siblings:
            for level in levels:
                level["barrier"] = self.barrier(level["level"])
        return {"sweep": self.sweep.name, "point": self.coordinates, "replicates": self.tested, "levels": levels}


def mean_stop(outcomes):
    stops = [outcome.stop for outcome in outcomes or []]
    return None if not stops or None in stops else numpy.mean(stops)


# Contrast.

def gap(point, control, level):
    """Ticket less control, replicate by replicate."""
    others = point.dense if control == "dense" else point.outcomes(control, level, point.tested)
    tickets = point.tickets[level - 1]
    return None if point.incomparable or tickets is None or others is None else differences(tickets, others)


def panels(sweep, axis, control):
    """Points that differ in the axis alone, each beside the first of them, with the levels that are compared."""
    firsts, pairs = {}, []
    stands = dict(sweep.branches).get(control) or None
    for point in sweep.points:
        rest = tuple((name, str(value)) for name, value in point.coordinates.items() if name != axis)
        first = firsts.setdefault(rest, point)
        if first is not point:
            pairs.append((first, point, [level for level in range(1, min(first.count, point.count) + 1)
                                         if (stands is None or level in stands)
                                         and not first.beyond[level - 1] and not point.beyond[level - 1]]))
    return pairs


def contrast(sweep, axis, control, named, pairs):
    """What `contrast --json` says; `named` are the levels to decide by, none for all."""
    tests = sum(not named or level in named for _, _, levels in pairs for level in levels)
    result = []
    for first, second, levels in pairs:
        entries = []
        for level in levels:
            is_tested = not named or level in named
            one, other = gap(first, control, level), gap(second, control, level)
            entry = {
                "level": level, "density_from": first.densities[level - 1] or ANY, "density_to": second.densities[level - 1] or ANY,
                "replicates": 0, "gap_from": interval(one), "gap_to": interval(other), "difference": None, "p_value": None,
                "direction": "undecided" if is_tested else None, "more_seeds": None, "diverged_from": 0, "diverged_to": 0, "reason": ANY,
            }
            entries.append(entry)
            if one is None or other is None:
                continue
            count = min(len(one), len(other))
            sample = Sample(numpy.subtract(other[:count], one[:count]), sweep.looks, max(first.resolution, second.resolution))
            entry.update(replicates=count, gap_from=interval(one[:count]), gap_to=interval(other[:count]),
                         difference=interval(sample.values), reason=None)
            for key, point in (("diverged_from", first), ("diverged_to", second)):
                trainings = [point.trainings[replicate, branch, number] for replicate in range(count)
                             for branch, number in (("ticket", level), (control, level if control != "dense" else 0))]
                entry[key] = sum(training.diverged for training in trainings)
            if is_tested:
                larger, smaller = tests * sample.above(0), tests * sample.below(0)
                entry["p_value"] = None if count < 2 else min(1.0, 2 * min(larger, smaller))
                entry["direction"] = "larger" if larger <= ERROR else "smaller" if smaller <= ERROR else "undecided"
                if entry["direction"] == "undecided":
                    entry["more_seeds"] = sample.more_seeds(0, ERROR / len(sweep.looks) / tests)
        reason = ANY if not levels or first.incomparable or second.incomparable else None
        result.append({"point": {name: value for name, value in first.coordinates.items() if name != axis},
                       "from": first.coordinates[axis], "to": second.coordinates[axis], "levels": entries, "reason": reason})
    return {"sweep": sweep.name, "axis": axis, "control": control, "tests": tests, "panels": result}


# What differs.

class Differences:
    def __init__(self):
        self.count, self.found, self.kinds = 0, [], collections.Counter()

    @staticmethod
    def empty(value):
        """An estimate of nothing is null, or an object of nulls."""
        return value is None or isinstance(value, dict) and len(value) > 0 and all(Differences.empty(one) for one in value.values())

    def compare(self, place, said, computed):
        if computed is ANY:
            return
        if self.empty(said) and self.empty(computed):
            self.count += 1
        elif isinstance(said, dict) and isinstance(computed, dict):
            for key in sorted(said.keys() | computed.keys()):
                if key in said and key in computed:
                    self.compare(f"{place} {key}", said[key], computed[key])
                else:
                    self.count += 1
                    self.found.append(f"{place} {key}: only {'Tombola' if key in said else 'here'}")
        elif isinstance(said, list) and isinstance(computed, list) and len(said) == len(computed):
            for index, pair in enumerate(zip(said, computed)):
                label = pair[0].get("branch", pair[0].get("level", index)) if isinstance(pair[0], dict) else index
                self.compare(f"{place} [{label}]", *pair)
        else:
            self.count += 1
            key = place.split()[-1]
            self.kinds[key] += 1
            if not self.equal(said, computed):
                self.found.append(f"{place}: Tombola has {said!r}, here it is {computed!r}")

    @staticmethod
    def equal(said, computed):
        numbers = (int, float, numpy.floating, numpy.integer)
        if isinstance(said, bool) or isinstance(computed, bool) or not (isinstance(said, numbers) and isinstance(computed, numbers)):
            return said == computed
        return math.isclose(said, computed, rel_tol=1e-9, abs_tol=1e-11)


def check_steps(program, sweep, found):
    """That early stops are the steps of least validation loss, the earliest on ties, and that accuracies are those there.

    The weights that a level begins with are no stop, even if none is better later, as where nothing is learnt.
    """
    curves = collections.defaultdict(list)
    for row in program.json("export", sweep.name):
        curves[row["point"], (row["replicate"], row["branch"], row["level"])].append(row)
    for (point, key), evaluations in curves.items():
        training = sweep.trainings[point][key]
        if not training.is_done or training.diverged:
            continue
        trained = [row for row in evaluations if row["step"] > training.first_step]
        best = min(trained, key=lambda row: (row["validation_loss"], row["step"]))
        last = max(evaluations, key=lambda row: row["step"])
        reported = best if sweep.settings[point]["report"] == "early-stop" else last
        place = f"point {point}, replicate {key[0]}, {key[1]} {key[2]}:"
        found.compare(f"{place} stop", training.stop, best["step"])
        found.compare(f"{place} accuracy", training.accuracy, reported["test_accuracy"])
        found.compare(f"{place} validation", training.validation, last["validation_accuracy"])


def check(program, name, rows, curves, arguments):
    differences_found = Differences()
    axes = list(rows[0]["point"])
    sweep = Sweep(program, name, axes)
    differences_found.compare("rows", len(rows), len(sweep.points))
    computed = {row["point_index"]: row for row in sweep.rows()}
    for said in rows:
        differences_found.compare(f"point {said['point_index']}:", said, computed.get(said["point_index"]))
    differences_found.compare("curves", len(curves), len(sweep.points))
    for point, said in zip(sweep.points, curves):
        differences_found.compare(f"by density, point {point.index}:", said, point.curve())
    board = differences_found.count
    for axis in axes:
        for control in [branch for branch, _ in sweep.branches] + ["dense"]:
            pairs = panels(sweep, axis, control)
            last = max((level for _, _, levels in pairs for level in levels), default=None)
            for named in [[]] + ([[last]] if last is not None else []):
                options = [part for level in named for part in ("--level", str(level))]
                result = program.run("contrast", name, "--axis", axis, "--against", control, *options)
                place = " ".join(["contrast", axis, control, *options]) + ":"
                differences_found.compare(place + " panels", result.returncode == 0, bool(pairs))
                if result.returncode == 0 and pairs:
                    differences_found.compare(place, json.loads(result.stdout), contrast(sweep, axis, control, named, pairs))
    contrasts = differences_found.count - board
    check_steps(program, sweep, differences_found)
    print(f"{name}: {differences_found.count} values compared, {board} of the leaderboard, {contrasts} of contrasts and "
          f"{differences_found.count - board - contrasts} of trainings; {len(differences_found.found)} differ")
    for line in differences_found.found if arguments.verbose else differences_found.found[:arguments.most]:
        print(f"  {line}")
    if len(differences_found.found) > arguments.most and not arguments.verbose:
        print("  … --verbose says the others")
    if arguments.verbose:
        print("  compared: " + ", ".join(f"{key} {count}" for key, count in sorted(differences_found.kinds.items())))
    return len(differences_found.found)


def main(arguments):
    program = Program(arguments.tombola, arguments.store)
    rows, curves = collections.defaultdict(list), collections.defaultdict(list)
    for row in program.json("leaderboard"):
        rows[row["sweep"]].append(row)
    for curve in program.json("leaderboard", "--by-density"):
        curves[curve["sweep"]].append(curve)
    unknown = set(arguments.sweep) - rows.keys()
    if unknown:
        sys.exit(f"the store has no sweep {', '.join(sorted(unknown))}")
    found = sum(check(program, name, rows[name], curves[name], arguments) for name in arguments.sweep or rows)
    return 1 if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tombola", help="the program")
    parser.add_argument("sweep", nargs="*", help="sweeps of the store; all if left out")
    parser.add_argument("--store", required=True)
    parser.add_argument("--most", type=int, default=20, help="differences of a sweep that are said (20)")
    parser.add_argument("--verbose", action="store_true", help="say all differences, and how many values of each name were compared")
    sys.exit(main(parser.parse_intermixed_args()))
