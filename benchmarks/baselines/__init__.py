"""One file a baseline, read top to bottom like its paper; the file name is the public name.

A baseline module has
    a docstring       paper, table, and what differs from the paper and from the authors' code
    Settings          a frozen dataclass of svmbench.settings.setting fields
    VARIANTS          dict[str, Settings]; the first is the main one
    NEEDS             names of the features that it takes; empty: all features of the run
    fit(train: Pairs, val: Pairs, settings: Settings, seed: int) -> Model     a closed form; or, for a training,
    fit_seeds(train, val, settings, seeds: tuple[int, ...], report: Report) -> list[Model]     of several seeds at once, by
                      benchmarks.train.fit_seeds; and then also
    build(num_video: int, num_music: int, settings, seed: int, device) -> nn.Module     the model untrained, from which a
                      checkpoint is restored (a closed form is restored from the fields of its dataclass)
and may have
    STEPS = True      it takes sequences: Inputs.steps is filled
    TAGS = True       it learns from unified labels: Inputs.tags_B is filled
    LEARNS = False    it learns nothing from the training pairs: the check that trains on shuffled pairs does not apply
    SEEDED = False    it draws no random numbers: it is fitted once, however many seeds are asked for (but each shuffling of the
                      training pairs is another)
    CONTROL = True    it knows nothing by design: shuffling its training pairs would change nothing
    BY_DESIGN         names of integrity checks whose failure is the point of this baseline; they do not mark its rows

`fit` may look at val to choose a checkpoint or a setting; the test part is never handed to it. The model's encode_video and
encode_music (benchmarks.towers.Model) get standardised inputs and nothing else, no ids, songs or tags, and return
L2-normalised rows that depend on their own input row alone. The benchmark ranks by their dot product.
"""
