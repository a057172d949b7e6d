"""The engine: samples in, results out, whoever asks.

``worker`` looks into the ``store``, loads, runs and keeps; ``planning`` and ``identity`` say under which key,
``loading`` and ``given`` what a metric is handed, ``faults`` what its errors mean. ``pool`` and ``ahead`` load the
next clips meanwhile. ``reduce`` and ``composite`` turn outcomes into the score of a corpus, ``corpus_digests`` says of
what it is the score: for gates by ``corpus``, for scripts by ``batch`` and ``evaluator``.
"""
