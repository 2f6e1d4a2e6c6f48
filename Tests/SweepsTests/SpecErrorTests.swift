import Lottery
import Sweeps
import Testing

@Suite struct SpecErrorTests {
    @Test(
        "A mistake is answered with its line, the culprit and the remedy",
        arguments: [
            ("name: a\ngrid: {prune_rat: [0.1]}", #"2: unknown setting "prune_rat"; did you mean "prune_rate"?"#),
            ("name: a\npruning:\n  levels: 3\n  raet: 0.2", #"4: unknown setting "raet"; did you mean "rate"?"#),
            ("name: a\ntrainning: {batch: 3}", #"2: unknown setting "trainning"; did you mean "training"?"#),
            ("name: a\nreplicate: 3", #"2: unknown setting "replicate"; did you mean "replicates"?"#),
            ("name: a\npruning.rat: 0.2", #"2: unknown setting "pruning.rat"; did you mean "pruning.rate"?"#),
            (
                "name: a\ntraining: {lr: 0.1}",
                #"2: "lr" serves in grid, zip and exclude only; here the setting is "training.learning_rate""#
            ),
            (
                "name: a\npruning:\n  prune_rat: 0.2",
                #"3: unknown setting "prune_rat"; did you mean "prune_rate"? (outside grid, zip and exclude it is "pruning.rate")"#
            ),
            (
                "name: a\nbatch: 60",
                #"2: "batch" serves in grid, zip and exclude only; here the setting is "training.batch""#
            ),
            ("name: a\ntraining:\n  optimizer: {nam: adam}", #"3: unknown setting "nam"; did you mean "name"?"#),
            ("name: a\npruning: {rate: {fully: 0.2}}", #"2: unknown setting "fully"; known are conv, fc, output"#),
            ("name: a\ndataset: mnits", #"2: unknown data set "mnits"; did you mean "mnist"?"#),
            ("name: a\ndataset: imagenet", #"2: unknown data set "imagenet"; known are glyphs, mnist"#),
            (
                "name: a\nmodel:\n  family: lenet-300",
                #"3: unknown model family "lenet-300"; did you mean "lenet-300-100"?"#
            ),
            ("name: a\ntraining: {optimizer: adm}", #"2: unknown optimizer "adm"; did you mean "adam"?"#),
            (
                "name: a\ngrid:\n  criterion:\n  - magnitude\n  - magnitud",
                #"5: unknown pruning criterion "magnitud"; did you mean "magnitude"?"#
            ),
            (
                "name: a\nbranches:\n- random-mask\n- random-init",
                #"4: unknown branch "random-init"; did you mean "random-reinit"?"#
            ),
            (
                "name: a\nbranches: [random-reinit, {levels: [2]}]",
                #"2: a branch needs its name, such as {name: random-reinit, levels: [4, 6]}, not {levels: [2]}"#
            ),
            (
                "name: a\nbranches:\n- {name: random-mask, level: 2}",
                #"3: unknown setting "level"; did you mean "levels"?"#
            ),
            (
                "name: a\nbranches:\n- {name: random-mask, levels: 2}",
                #"3: "levels of random-mask" must be all, or a list of levels such as [1, 5], not 2"#
            ),
            (
                "name: a\nbranches:\n- {name: random-mask, levels: [0]}",
                "3: a level is a whole number in 1…200, not 0"
            ),
            ("name: a\nbranches: [random-mask, random-mask]", #"2: branch "random-mask" is given twice; keep one"#),
            ("name: a\ntraining:\n  iterations: many", #"3: "training.iterations" must be a whole number, not many"#),
            (
                "name: a\ntraining:\n  iterations: 99999999999999999999",
                #"3: "training.iterations" must be in 1…100000000, not 99999999999999999999"#
            ),
            ("name: a\ntraining: {iterations: -5}", #"2: "training.iterations" must be in 1…100000000, not -5"#),
            (
                "name: a\ntraining:\n  warmup:\n  batch: 60",
                #"3: "training.warmup" has no value; it is steps of linear warmup"#
            ),
            ("name: a\nreplicates: 0", #"2: "replicates" must be a whole number in 1…10000, not 0"#),
            ("name: a\nreplicates: 2.5", #"2: "replicates" must be a whole number in 1…10000, not 2.5"#),
            ("name: a\nseed: -1", #"2: "seed" must be a whole number of at least 0 and below 2⁶⁴, not -1"#),
            ("name: a b", #"1: "name" must be 1 to 100 letters, digits, ".", "_" or "-", not "a b""#),
            ("name: ../a", #"1: "name" must be 1 to 100 letters, digits, ".", "_" or "-", not "../a""#),
            ("dataset: mnist", "1: the sweep has no name; give it one, such as name: x"),
            (
                "name: a\ngrid: {}",
                #"2: "grid" is empty; give it an axis, such as grid: {lr: [0.01, 0.1]}, or leave it out"#
            ),
            (
                "name: a\ngrid:",
                #"2: "grid" is empty; give it an axis, such as grid: {lr: [0.01, 0.1]}, or leave it out"#
            ),
            ("name: a\ngrid:\n  lr: []", #"3: axis "lr" has no values; give it some, or leave it out"#),
            ("name: a\ngrid:\n  lr: 0.1", #"3: axis "lr" needs a list of values, such as [0.1]"#),
            (
                "name: a\ngrid: {lr: [0.1, 0.2, 1e-1]}",
                #"2: axis "lr" has the value 1e-1 twice, in places 1 and 3; keep one"#
            ),
            ("name: a\ngrid: {lr: [0.1, fast]}", #"2: "lr" must be a number, not fast"#),
            ("name: a\ngrid: {lr: [0.1, nan]}", #"2: "lr" must be a number, not nan"#),
            ("name: a\ngrid: {lr: [0.1, 1e300]}", #"2: "lr" must be in 1e-12…1000000.0, not 1e300"#),
            ("name: a\ngrid: {lr: [0.1, 1e400]}", #"2: "lr" must be in 1e-12…1000000.0, not 1e400"#),
            ("name: a\ngrid: {lr: [0.1, 1e-300]}", #"2: "lr" must be in 1e-12…1000000.0, not 1e-300"#),
            (
                "name: a\ngrid: {lr: [0.1, 0.1000000000000000001]}",
                #"2: "lr" must have at most 18 digits and 30 decimals, not 0.1000000000000000001"#
            ),
            (
                "name: a\ngrid:\n  lr: [0.1]\n  training.learning_rate: [0.2]",
                #"4: "training.learning_rate" is an axis already, on line 3; keep one"#
            ),
            (
                "name: a\ngrid: {lr: [0.1]}\nzip: [{lr: [0.1], warmup: [0]}]",
                #"3: "lr" is an axis already, on line 2; keep one"#
            ),
            (
                "name: a\nzip:\n- lr: [0.1, 0.2]\n  warmup: [0]",
                #"4: axes of one zip group move together, but "warmup" has 1 value and "lr" has 2; give them as many, or move one to grid"#
            ),
            ("name: a\nname: b", #"2: "name" is given twice, first on line 1; keep one"#),
            ("name: a\ntraining: {batch: 3, batch: 4}", #"2: "batch" is given twice in one map; keep one"#),
            (
                "name: a\ntraining: {batch: 3}\ntraining.batch: 4",
                #"3: "training.batch" is given twice, first on line 2; keep one"#
            ),
            ("name: a\nmodel:\n  width: 0", #"3: "model.width" must be in 0.01…65536.0, not 0"#),
            ("name: a\ntraining: {label_smoothing: 1}", #"2: "training.label_smoothing" must be in 0.0…0.9999, not 1"#),
            (
                "name: a\npruning: {init_scale: density}",
                #"2: "init_scale" serves in grid, zip and exclude only; here the setting is "pruning.initialisation_scale""#
            ),
            ("name: a\ndata: 5", #"2: "data" must be a map of settings, such as data: {validation: 5}"#),
            ("name: a\nmodel: mlp", #"2: "model" must be a map of settings, such as model: {family: mlp}"#),
            ("name: a\ntraining: [1", "2: not YAML: did not find expected ',' or ']'"),
            (
                "name: a\ntraining:\n\titerations: 3",
                "3: not YAML: a line is indented by spaces, and here is a tab; write spaces in its place"
            ),
            // No fault of the tab, and none where there is no tab.
            ("name: a\nx: [1,\n\t2", "3: not YAML: did not find expected ',' or ']'"),
            ("name: a\nmodel: @mlp", "2: not YAML: found character that cannot start any token"),
            ("[]", "1: a spec is a map of settings; see sweeps/quickstart.yaml for an example"),
            ("", "1: the spec is empty; see sweeps/quickstart.yaml for an example"),
        ])
    func mistakes(yaml: String, expected: String) {
        #expect(refusal(yaml) == "sweeps/x.yaml:\(expected)")
    }

    @Test(
        "Settings that do not fit together are refused at the line that set the culprit",
        arguments: [
            (
                "name: a\ntraining: {iterations: 100}\npruning:\n  rewind: 100",
                "4: rewinding to step 100 leaves nothing to train, since training ends at step 100; lower pruning.rewind, or raise "
                    + "training.iterations"
            ),
            (
                "name: a\ntraining: {iterations: 1000}\ngrid:\n  rewind: [0,\n    5000]",
                "5: rewinding to step 5000 leaves nothing to train, since training ends at step 1000; lower pruning.rewind, or raise "
                    + "training.iterations (where rewind is 5000)"
            ),
            (
                "name: a\ntraining:\n  iterations: 100\n  warmup: 101",
                "4: a warmup of 101 steps is longer than the training's 100 iterations; lower training.warmup to 100 or less, or raise "
                    + "training.iterations"
            ),
            (
                "name: a\ntraining:\n  iterations: 100\n  decay: [{at: 100, by: 0.1}]",
                "4: a decay at step 100 comes after the training's 100 iterations; give it an earlier step or leave it out, or raise "
                    + "training.iterations"
            ),
            (
                "name: a\ndata: {validation: 30000}",
                "2: holding out 30000 of 30000 images for validation leaves none to train on; lower data.validation"
            ),
            (
                "name: a\ndata:\n  resize: 16",
                #"3: "data.resize" must divide the 28×28 pixels of glyphs, as 28, 14, 7, 4, 2, 1 do, not be 16"#
            ),
            (
                "name: a\ndata: {augment: {flip: true, crop: 7}}\ngrid: {resize: [14, 7]}",
                "2: a crop after 7 pixels of padding can leave nothing of 7×7 pixels; pad with fewer (where resize is 7)"
            ),
            ("name: a\ndata:\n  train: 70000", "3: glyphs has 30000 training images, not 70000"),
            (
                "name: a\ndata: {train: 5050}\ntraining: {batch: 60}",
                "3: a batch of 60 is more than the 50 images that are left to train on; lower training.batch to 50 or less"
            ),
            (
                "name: a\nmodel: {family: mlp, hidden: [10]}\ngrid: {depth: [2]}",
                #"3: "model.hidden" lists every layer, so "model.depth" and "model.width" do not go with it; keep one way (where depth is 2)"#
            ),
            (
                "name: a\nmodel: {family: mlp, hidden: [65536, 65536]}",
                "2: a network of 4,347,002,880 weights does not fit in a worker's memory; at most 1,000,000,000 do"
            ),
            ("name: a\nmodel:\n  depth: 3", "3: lenet-300-100 has its own layers"),
            (
                "name: a\nmodel: {family: mlp, depth: 2}",
                "2: an mlp needs depth and width, or hidden"
            ),
            (
                "name: a\npruning: {rate: 0}",
                "2: at these prune rates no layer of the network is ever pruned; raise one, or set levels: 0"
            ),
            (
                "name: a\npruning: {rate: {conv: 0.2}}",
                "2: at these prune rates no layer of the network is ever pruned; raise one, or set levels: 0"
            ),
            (
                "name: a\npruning: {rate: 0.5, levels: 60}",
                #"2: level 19 of 60 would prune nothing, with 3 weights left; lower "pruning.levels" to 18"#
            ),
            (
                "name: a\npruning:\n  levels: 2\n  rate: 0.000001",
                #"4: level 1 would prune nothing, since these prune rates come to less than one weight; raise "pruning.rate""#
            ),
            (
                "name: a\ntraining: {iterations: 200}\npruning: {rewind: 100}\ntrain: {iterations: 80}",
                "3: rewinding to step 100 leaves nothing to train, since training ends at step 80; lower pruning.rewind, or raise "
                    + "training.iterations (under train)"
            ),
            (
                "name: a\ntraining: {iterations: 200}\npruning: {rewind: 100}\ngrid: {mask_from.iterations: [150, 80]}",
                "3: rewinding to step 100 leaves nothing to train, since training ends at step 80; lower pruning.rewind, or raise "
                    + "training.iterations (under mask_from, where mask_from.iterations is 80)"
            ),
            (
                "name: a\ntraining:\n  optimizer:\n    name: adam\n    momentum: 0.9",
                "5: momentum is a setting of sgd, but the optimizer is adam (whose own is beta1); leave it out, or write optimizer: "
                    + "{name: adam, momentum: 0.0}"
            ),
            (
                "name: a\ntraining:\n  optimizer: {name: sgd, momentum: 0.9}\nmask_from: {optimizer: adam}",
                "3: momentum is a setting of sgd, but the optimizer is adam (whose own is beta1); leave it out, or write optimizer: "
                    + "{name: adam, momentum: 0.0} (under mask_from)"
            ),
            (
                "name: a\ntraining: {optimizer: {name: sgd, beta2: 0.9}}",
                "2: beta2 is a setting of adam, but the optimizer is sgd; leave it out, or write optimizer: {name: sgd, beta2: 0.999}"
            ),
            (
                "name: a\ntraining: {optimizer: {name: sgd, nesterov: true}}",
                "2: nesterov changes the momentum of sgd; set optimizer sgd and momentum, such as 0.9, or nesterov: false"
            ),
            (
                "name: a\ntraining: {optimizer: {alpha: 0.9}}",
                "2: alpha is a setting of rmsprop, but the optimizer is adam; leave it out, or write optimizer: {name: adam, alpha: 0.99}"
            ),
            (
                "name: a\ntraining: {schedule: cosine, decay: [{at: 10, by: 0.1}]}",
                "2: decay belongs to the schedule step, but the schedule is cosine, which has a shape of its own; "
                    + "leave out one of them"
            ),
            ("name: a\ngrid: {lr: [0.1]}\nexclude:\n- lr > 0", "4: exclude leaves none of 1 points; drop a condition"),
        ])
    func misfits(yaml: String, expected: String) {
        #expect(refusal(yaml) == "sweeps/x.yaml:\(expected)")
    }

    @Test(
        "Rules that contradict each other, or leave nothing to decide, are refused at their line",
        arguments: [
            (
                "name: a\nreplicates: 3\nrefine: {looks: [5, 8, 12]}",
                #"2: "replicates" is 3, but "refine" on line 3 looks first at 5; leave "replicates" out, or make them equal"#
            ),
            ("name: a\nrefine: {looks: [5, 8]}\nreplicates: 5", "accepted"),
            (
                "name: a\nrefine: 5",
                #"2: "refine" must be a map, such as refine: {looks: [5, 8, 12], budget: 40}, not 5"#
            ),
            (
                "name: a\nrefine: {budget: 4}",
                #"2: "refine" needs the numbers of replicates at which to look, such as looks: [5, 8, 12]"#
            ),
            (
                "name: a\nrefine: {looks: [5]}",
                #"2: "refine.looks" must be a list of 2 to 10 numbers of replicates, such as [5, 8, 12], not [5]"#
            ),
            (
                "name: a\nrefine: {looks: [1, 5]}",
                "2: a look at one replicate decides nothing; begin with 2 or more, such as 5"
            ),
            (
                "name: a\nrefine:\n  looks: [5, 8,\n    8]",
                "4: looks must ascend, but 8 comes after 8; each is a number of replicates in all"
            ),
            ("name: a\nrefine: {looks: [5, 8], bugdet: 3}", #"2: unknown setting "bugdet"; did you mean "budget"?"#),
            (
                "name: a\nrefine: {looks: [5, 8], budget: 0}",
                #"2: "refine.budget" must be a whole number in 1…20000000, not 0"#
            ),
            (
                "name: a\nrefine: {looks: [5, 8]}\npruning: {levels: 0}",
                #"2: "refine" adds replicates where a verdict is undecided, but no point prunes; leave it out"#
            ),
            (
                "name: a\nstop_when: {levels: 2}",
                #"2: "stop_when" needs the margin below the dense network at which a chain ends, such as margin: 0.05"#
            ),
            (
                "name: a\nstop_when: {margin: 5}",
                #"2: "stop_when.margin" must be a fraction of the test set above 0 and at most 1, such as 0.05, not 5"#
            ),
            (
                "name: a\nmatching_margin: 0.06\nstop_when: {margin: 0.05}\nreplicates: 2",
                #"3: "stop_when.margin" 0.05 would end chains that still match, since "matching_margin" is 0.06; raise it above that"#
            ),
            (
                "name: a\nwinning_at: [0.5]\npruning: {levels: 3, rate: 0.5}",
                #"2: "winning_at" names densities to be tested, but one replicate decides nothing; set "replicates" to 2 or more, such as 5"#
            ),
            (
                "name: a\nreplicates: 5\nwinning_at: [0.5,\n  0.3]\npruning: {levels: 3, rate: 0.5}",
                #"4: no chain of the sweep has the density 0.3 that "winning_at" names; the nearest are 0.25 and 0.125"#
            ),
            ("name: a\nreplicates: 5\nwinning_at: [0.5, 0.25]\npruning: {levels: 3, rate: 0.5}", "accepted"),
            (
                "name: a\nreplicates: 5\nwinning_at: [0.5, 0.5]\npruning: {levels: 3, rate: 0.5}",
                #"3: "winning_at" names 0.5 twice; keep one"#
            ),
            (
                "name: a\nreplicates: 5\nwinning_at: [50]",
                "3: a density is a fraction of the weights above 0 and below 1, such as 0.211, not 50"
            ),
            (
                "name: a\nreplicates: 5\nwinning_at: [0.5]\npruning: {levels: 3, rate: 0.5, rewind: 10}",
                #"3: "winning_at" names densities to be tested for winning, but no point rewinds to step 0; add "rewind" 0, or leave it out"#
            ),
            (
                "name: a\nreplicates: 5\nwinning_at: [0.5]\npruning: {levels: 3, rate: 0.5, retrain: fine-tuning}",
                #"3: "winning_at" names densities to be tested for winning, but fine-tuning goes on with trained weights instead of those of step 0; add "retrain" weight-rewinding, or leave it out"#
            ),
            (
                "name: a\nreplicates: 5\nwinning_at: [0.5]\npruning: {levels: 0}",
                #"3: "winning_at" names densities to be tested for winning, but no point prunes; raise "pruning.levels", or leave it out"#
            ),
        ])
    func rules(yaml: String, expected: String) {
        #expect(refusal(yaml) == (expected == "accepted" ? expected : "sweeps/x.yaml:\(expected)"))
    }

    private static let chains = "name: a\npruning: {levels: 3, rate: 0.5}\n"

    /// What follows `chains`, and the answer.
    private static let senseless: [(String, String)] = [
        // stop_when
        (
            "stop_when: {margin: 0.05}",
            #"3: "stop_when" ends chains, but one replicate decides nothing; set "replicates" to 2 or more, such as 5"#
        ),
        (
            "replicates: 1\nstop_when: {margin: 0.05}",
            #"4: "stop_when" ends chains, but one replicate decides nothing; set "replicates" to 2 or more, such as 5"#
        ),
        ("stop_when: {margin: 0.05}\nrefine: {looks: [2, 5]}", "accepted"),
        (
            "replicates: 2\nstop_when:\n  margin: 0.05\n  levels: 4",
            #"6: "stop_when" waits for 4 levels in a row, but no chain has more than 3, so that it ends none early; lower "#
                + #""stop_when.levels" to 2 or less, or raise "pruning.levels""#
        ),
        ("replicates: 2\nstop_when: {margin: 0.05, levels: 2}", "accepted"),
        (
            "replicates: 2\nstop_when: {margin: 0.05}\ngrid: {levels: [0, 1]}",
            #"4: "stop_when" waits for 2 levels in a row, but no chain has more than 1, so that it ends none early; raise "#
                + #""pruning.levels", or leave it out"#
        ),
        (
            "replicates: 2\nstop_when: {margin: 0.05}\ngrid: {levels: [0]}",
            #"4: "stop_when" ends chains, but no point prunes; leave it out"#
        ),
        // refine
        (
            "refine:\n  looks: [5, 8]\n  budget: 2",
            #"5: "refine.budget" is 2, but a point needs 3 more runs for its look at 8, so that nothing is ever added; "#
                + "raise it to 3 or more, or leave it out"
        ),
        ("refine: {looks: [5, 8], budget: 3}", "accepted"),
        // winning_at
        (
            "replicates: 2\nwinning_at: [0.5,\n  0.51]",
            #"5: "winning_at" names 0.5 and 0.51, which are both level 1 of the chain, at density 0.5; keep one"#
        ),
        ("replicates: 2\nwinning_at: [0.5, 0.52]\ngrid: {prune_rate: [0.5, 0.46]}", "accepted"),
        // search
        (
            "training: {iterations: 2079}\npruning.search: early-bird",
            "4: early-bird compares the masks of 5 epochs of 416 steps each, but training ends at step 2079, before that; "
                + "raise training.iterations to 2080 or more, or use search: full"
        ),
        ("training: {iterations: 2080}\npruning.search: early-bird", "accepted"),
        (
            "pruning.search: early-bird\nmask_from: {iterations: 500}",
            "3: early-bird compares the masks of 5 epochs of 416 steps each, but training ends at step 500, before that; "
                + "raise training.iterations to 2080 or more, or use search: full (under mask_from)"
        ),
        ("pruning.search: early-bird\ntrain: {iterations: 500}", "accepted"),
        (
            "pruning.search: early-bird\ngrid: {criterion: [magnitude, random]}",
            "3: random draws masks without a look at the weights, so that early-bird has nothing to wait for; use search: "
                + "full (where criterion is random)"
        ),
        // report
        (
            "report: early-stop\ntraining:\n  evaluate_every: 20000",
            "5: early-stop reports the step of least validation loss, but with evaluate_every 20000 nothing is evaluated "
                + "before training ends at step 10000; lower training.evaluate_every"
        ),
        (
            "report: early-stop\ntraining: {evaluate_every: 100}\ngrid: {iterations: [200, 100]}",
            "4: early-stop reports the step of least validation loss, but with evaluate_every 100 nothing is evaluated "
                + "before training ends at step 100; lower training.evaluate_every (where iterations is 100)"
        ),
        ("training: {evaluate_every: 20000}", "accepted"),
        // mask_from and train
        (
            "mask_from: {lr: 0.1}\ngrid: {mask_from.lr: [0.2, 0.3]}",
            #"3: "mask_from" gives "training.learning_rate", which no point has, because the axis "mask_from.lr" on line 4 "#
                + "gives each its own; keep one of them"
        ),
        ("train: {lr: 0.1}\ngrid: {mask_from.lr: [0.2, 0.3]}", "accepted"),
        (
            "mask_from: {training.evaluate_every: 50}",
            "3: the recipes differ in training.evaluate_every alone, which changes no mask here, so that each network finds "
                + "the masks itself that it is given; leave mask_from out, or let them differ in what the masks come from, "
                + "such as mask_from: {lr: 0.01}"
        ),
        (
            "train: {training.test: best}\nmask_from: {rewind_optimizer: fresh}",
            "4: the recipes differ in training.test and rewind_optimizer alone, which changes no mask here, so that each "
                + "network finds the masks itself that it is given; leave mask_from and train out, or let them differ in "
                + "what the masks come from, such as mask_from: {lr: 0.01}"
        ),
        ("pruning.rewind: 10\nmask_from: {rewind_optimizer: fresh}", "accepted"),
        ("mask_from: {retrain: fine-tuning}", "accepted"),
        (
            "training.optimizer: {name: sgd, momentum: 0.9}\nmask_from: {optimizer: {name: adam, momentum: 0.0}}",
            "accepted"
        ),
        (
            "mask_from: {rewind: 10}\ngrid: {levels: [1]}",
            "3: the recipes differ in rewind alone, which changes no mask here, so that each network finds the masks "
                + "itself that it is given; leave mask_from out, or let them differ in what the masks come from, such as "
                + "mask_from: {lr: 0.01}"
        ),
        ("mask_from: {rewind: 10}\ngrid: {levels: [1, 2]}", "accepted"),
        (
            "pruning.rank_at: 20\nmask_from: {iterations: 9000}",
            "4: the recipes differ in iterations alone, which changes no mask here, so that each network finds the masks "
                + "itself that it is given; leave mask_from out, or let them differ in what the masks come from, such as "
                + "mask_from: {lr: 0.01}"
        ),
        ("pruning.rank_at: 20\nmask_from: {iterations: 9000, training.schedule: cosine}", "accepted"),
        // Controls that make no difference
        (
            "grid: {levels: [1]}\nbranches: [random-reinit,\n  one-shot]",
            #"4: the control "one-shot" is the ticket itself wherever it stands, so that it decides nothing; let it stand "#
                + "beside level 2 or a later one, or leave it out"
        ),
        (
            "branches: [{name: one-shot, levels: [1]}]",
            #"3: the control "one-shot" is the ticket itself wherever it stands, so that it decides nothing; let it stand "#
                + "beside level 2 or a later one, or leave it out"
        ),
        ("branches: [one-shot]", "accepted"),
        ("grid: {levels: [1, 2]}\nbranches: [one-shot]", "accepted"),
        (
            "pruning.search: early-bird\ntraining.iterations: 20000\nbranches: [{name: one-shot, levels: [1]}]",
            "accepted"
        ),
        // Values that make no difference
        (
            "grid: {examples: [5, 10]}",
            #"3: axis "examples" makes no difference between 5 and 10: points with either train exactly the same; keep one of them"#
        ),
        ("grid: {criterion: [magnitude, snip], examples: [5, 10]}", "accepted"),
        (
            "grid:\n  lr: [0.1, 0.2]\n  rewind_optimizer: [restore,\n    fresh]",
            #"6: axis "rewind_optimizer" makes no difference between restore and fresh: points with either train exactly "#
                + "the same; keep one of them"
        ),
        ("grid: {rewind: [0, 10], rewind_optimizer: [restore, fresh]}", "accepted"),
        (
            "grid: {rewind: [0, 10], rewind_optimizer: [restore, fresh]}\nexclude: ['rewind == 10']",
            #"3: axis "rewind_optimizer" makes no difference between restore and fresh: points with either train exactly "#
                + "the same; keep one of them"
        ),
        (
            "zip: [{lr: [0.1, 0.1], examples: [5, 10]}]",
            #"3: axes "lr", "examples" make no difference between 0.1, 5 and 0.1, 10: points with either train exactly the "#
                + "same; keep one of them"
        ),
        (
            "grid: {levels: [0], criterion: [magnitude, random]}",
            #"3: axis "criterion" makes no difference between magnitude and random: points with either train exactly the "#
                + "same; keep one of them"
        ),
        ("grid: {levels: [0, 2], prune_rate: [0.2, 0.5]}", "accepted"),
        ("grid: {levels: [1, 3]}", "accepted"),
        ("grid: {report: [final, early-stop], matching_margin: [0, 0.01]}", "accepted"),
        (
            "grid: {levels: [0], rewind: [0, 10]}",
            #"3: axis "rewind" makes no difference between 0 and 10: points with either train exactly the same; keep one of them"#
        ),
        ("grid: {levels: [0], rewind: [0, 10]}\ninstability: {levels: [0]}", "accepted"),
    ]

    @Test(
        "What would decide nothing is refused in a new sweep; a spec that a store holds is still read",
        arguments: senseless)
    func asNew(rest: String, expected: String) throws {
        let yaml = Self.chains + rest
        #expect(
            refusalAsNew(yaml, vocabulary: MethodPlanTests.vocabulary)
                == (expected == "accepted" ? expected : "sweeps/x.yaml:\(expected)"))
        _ = try Sweep(yaml: yaml, file: "sweeps/x.yaml", vocabulary: MethodPlanTests.vocabulary)
    }

    @Test("A criterion that looks at some images of each class has enough of the rarest one, where that is known")
    func rarestClass() throws {
        var vocabulary = MethodPlanTests.vocabulary
        vocabulary.rarestClass = { _, data in ClassCount(label: 2, count: (data.train ?? 0) / 20 - 1) }
        let yaml = Self.chains + "data: {train: 400, validation: 100}\npruning.criterion: snip\n"
        func refusal(_ examples: Int) -> String {
            refusalAsNew(yaml + "pruning.examples: \(examples)", vocabulary: vocabulary)
        }
        #expect(refusal(19) == "accepted")
        #expect(
            refusal(20).hasSuffix(
                "snip looks at 20 images of each class, but of class 2 there are 19 among the 300 that are left to train "
                    + "on; lower pruning.examples to 19 or less, or train on more images"), "\(refusal(20))")
        #expect(
            refusalAsNew(
                yaml.replacing("pruning.criterion: snip", with: "pruning.criterion: magnitude")
                    + "pruning.examples: 20",
                vocabulary: vocabulary
            ).hasSuffix("but the criterion magnitude takes none; leave it out"))
    }

    @Test(
        "What is the same for all points is no axis, and belongs to no recipe",
        arguments: [
            "name", "replicates", "seed", "branches", "winning_at", "refine", "stop_when.margin", "stop_when.levels",
            "refine.budget", "instability.points", "instability",
        ])
    func sameForAllPoints(name: String) {
        let section = name.split(separator: ".")[0]
        let said =
            #"is the same for all points of a sweep and so no axis; give "\#(section)" outside of grid and zip, or make a "#
            + "sweep for each value"
        #expect(refusal("name: a\ngrid: {\(name): [2, 3]}") == #"sweeps/x.yaml:2: "\#(name)" \#(said)"#)
        #expect(refusal("name: a\nzip:\n- {\(name): [2, 3]}") == #"sweeps/x.yaml:3: "\#(name)" \#(said)"#)
        let own = #""mask_from.\#(name)" \#(said)"#
        #expect(refusal("name: a\ngrid: {mask_from.\(name): [2, 3]}") == "sweeps/x.yaml:2: \(own)")
        #expect(
            refusal("name: a\ntrain: {\(name): 2}")
                == #"sweeps/x.yaml:2: "\#(name)" is the same for both recipes and for all points of a sweep; give "\#(section)" outside of "train""#
        )
    }

    @Test(
        "Sections that are no settings are no axes either, and stand in no other",
        arguments: [
            (
                "grid: {mask_from: [a]}",
                #""mask_from" as a whole is no axis; make axes of its settings, such as mask_from.lr: [0.01, 0.1]"#
            ),
            (
                "grid: {train: [{lr: 0.1}]}",
                #""train" as a whole is no axis; make axes of its settings, such as train.lr: [0.01, 0.1]"#
            ),
            ("grid: {exclude: ['lr > 1']}", #""exclude" is no setting; give "exclude" at the top of the spec"#),
            (
                "mask_from: {grid: {lr: [0.1]}}",
                #""grid" does not stand inside "mask_from"; give it at the top of the spec, with axes such as mask_from.lr: [0.01, 0.1]"#
            ),
            (
                "mask_from: {train: {lr: 0.1}}",
                #""train" inside "mask_from" is a recipe inside a recipe, which has none of its own; put "train" beside "mask_from""#
            ),
            (
                "grid: {mask_from.train.lr: [0.1]}",
                #""train.lr" inside "mask_from" is a recipe inside a recipe, which has none of its own; put "train" beside "mask_from""#
            ),
            (
                "train: {train: {lr: 0.1}}",
                #""train" inside "train" is a recipe inside a recipe, which has none of its own; give the settings themselves, such as train: {lr: 0.1}"#
            ),
            (
                "mask_from: {train: 1000}",
                #""data.train" in "mask_from" must stay fixed, because both recipes see the same images; give it outside, for both recipes"#
            ),
        ])
    func sections(rest: String, expected: String) {
        #expect(refusal("name: a\n\(rest)") == "sweeps/x.yaml:2: \(expected)")
    }

    @Test("Lists of what may be added are empty where nothing is")
    func nothingAdded() {
        #expect(refusalAsNew("name: a\nbranches: []\nzip: []\nexclude: []\ntraining.decay: []") == "accepted")
    }

    @Test("A condition that excludes nothing, and examples that no criterion looks at, are refused of new specs alone")
    func nothingMeant() {
        let grid = "name: a\ngrid: {lr: [0.1, 0.01], warmup: [0, 500]}\nexclude:\n"
        let idle = grid + "  - lr == 0.1 && warmup > 0\n  - lr == 0.2"
        #expect(refusal(idle) == "accepted")
        #expect(
            refusalAsNew(idle)
                == #"sweeps/x.yaml:5: exclude "lr == 0.2" leaves out no point, since none is so; mend it, or leave it out"#
        )
        // What another condition leaves out as well is left out.
        #expect(refusalAsNew(grid + "  - lr == 0.1\n  - lr > 0.05 && warmup > 0") == "accepted")

        let vocabulary = MethodPlanTests.vocabulary
        func examples(_ criterion: String) -> String {
            refusalAsNew("name: a\npruning: {examples: 5}\n\(criterion)", vocabulary: vocabulary)
        }
        #expect(
            examples("pruning.criterion: magnitude")
                == "sweeps/x.yaml:2: examples says of how many images gradients are taken, but the criterion magnitude takes none; "
                + "leave it out")
        #expect(examples("pruning.criterion: snip") == "accepted")
        #expect(examples("grid: {criterion: [magnitude, snip]}") == "accepted")
    }

    @Test("Images may be an axis, which has the name of a recipe")
    func images() { #expect(refusalAsNew("name: a\ngrid: {train: [10000, 20000]}") == "accepted") }

    @Test("A grid above the limit is refused before it is expanded, and the error says how large it is")
    func tooManyRuns() throws {
        let axis = (1...1_000).map(String.init).joined(separator: ", ")
        let yaml = "name: a\nreplicates: 2\ngrid:\n  warmup: [\(axis)]\n  batch: [\(axis)]"
        #expect(
            refusal(yaml)
                == "sweeps/x.yaml:3: the grid has 2,000,000 runs, more than 1,000,000; shorten an axis, or say --yes if you mean it"
        )
        let error = try #require(throws: SpecError.self) { try sweep(yaml) }
        #expect(error.runCount == 2_000_000)
        let huge = yaml + "\n  evaluate_every: [1]\n  momentum: [0]"
        #expect(refusal(huge).contains("unknown setting \"evaluate_every\"; did you mean \"training.evaluate_every\"?"))
        let absurd =
            "name: a\ngrid: {"
            + ["warmup", "batch", "iterations", "levels"].map { "\($0): [\($0 == "levels" ? "1" : axis)]" }.joined(
                separator: ", ") + "}"
        #expect(refusal(absurd, maximumRuns: .max).contains("more than the 20,000,000 that a sweep may have"))
    }

    @Test("Where only a part of a data set is here, its images count")
    func partialData() {
        var vocabulary = testVocabulary
        vocabulary.trainCount = { $0.name == "mnist" ? 9_000 : $0.trainCount }
        func refusal(_ data: String) -> String {
            do throws(SpecError) {
                _ = try Sweep(
                    yaml: "name: a\ndataset: mnist\ndata: \(data)", file: "x.yaml", vocabulary: vocabulary)
                return "accepted"
            } catch {
                return "\(error)"
            }
        }
        #expect(refusal("{train: 9_000, validation: 5_000}") == "accepted")
        #expect(refusal("{train: 9_001}") == "x.yaml:3: mnist has 9000 training images here, not 9001")
        #expect(
            refusal("{validation: 9_000}")
                == "x.yaml:3: holding out 9000 of 9000 images for validation leaves none to train on; lower data.validation"
        )
        #expect(
            refusal("{validation: 8_950}")
                == "x.yaml:3: a batch of 60 is more than the 50 images that are left to train on; lower training.batch to 50 or less"
        )
    }

    @Test("Aliases cannot blow a small spec up, and deep nesting cannot exhaust the stack")
    func hostile() {
        var bomb = "name: a\nx0: &x0 [1,1,1,1,1,1,1,1,1,1]\n"
        for level in 1...8 {
            bomb +=
                "x\(level): &x\(level) [" + Array(repeating: "*x\(level - 1)", count: 10).joined(separator: ",") + "]\n"
        }
        #expect(refusal(bomb).hasSuffix("nested too deep or too large for a spec"))
        #expect(refusal("a: " + String(repeating: "[", count: 100_000)).contains("brackets are nested too deep"))
        #expect(refusal(String(repeating: "- ", count: 5_000)) != "accepted")
        #expect(refusal(String(repeating: "#", count: 2_000_000)).contains("at most 1 MiB"))
    }
}
