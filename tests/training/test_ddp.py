"""Two processes against one. Starting them takes most of the time, so that all of it happens in one script."""

import importlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.small_run import SMALL
from helpers.tiny_runs import PAPERS, VOCODERS, WITHOUT_NOISE, state
from helpers.two_processes import INTERRUPTIONS, STEPS, without_chance
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy, StrategyRegistry

from lightning_gans.training import ddp
from lightning_gans.training.ddp import DDPInTurnsStrategy

TESTS = Path(__file__).parents[1]
AUDIO = [name for name in PAPERS if name.startswith(("wavegan", "specgan"))] + VOCODERS


def environment() -> dict[str, str]:
    ours = ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")  # what other tests may have left
    kept = {key: value for key, value in os.environ.items() if key not in ours}
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), kept.get("PYTHONPATH", "")])
    return kept | {"PYTHONPATH": path}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What the two processes ended with."""
    folder = tmp_path_factory.mktemp("ranks")
    script = subprocess.Popen(
        [sys.executable, TESTS / "helpers" / "two_processes.py", folder],
        env=environment(),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, errors = script.communicate(timeout=500)
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGKILL)  # both processes
    assert script.returncode == 0, errors[-3000:]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def test_no_strategy_has_to_be_named(ranks):
    assert [rank["strategy"] for rank in ranks] == ["DDPStrategy"] * 2
    assert [rank["global_step"] for rank in ranks] == [STEPS] * 2


@pytest.mark.parametrize("name", PAPERS)
def test_parameters_stay_identical(ranks, name):
    one, other = (rank["as_it_is"][name] for rank in ranks)
    torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("name", [name for name in PAPERS if name not in WITHOUT_NOISE])
def test_latents_differ_between_processes_and_batches(ranks, name):
    latents = torch.cat([rank["latents"][name] for rank in ranks])
    assert len({z.numpy().tobytes() for z in latents}) == len(latents) >= 2 * STEPS


def test_dropout_differs_between_processes(ranks):
    assert not torch.equal(ranks[0]["masks"], ranks[1]["masks"])


@pytest.mark.parametrize("name", PAPERS)
def test_two_processes_equal_one_with_the_joined_batch(ranks, name):
    """Every network moves as far, and to the same place, but for the order of sums; so do gamma and the balance."""
    alone, before = without_chance(name, 1)
    expected = state(alone)
    moved = {key: (expected[key] - tensor).abs().max().item() for key, tensor in before.items()}
    if name in AUDIO:  # whose optimizers take steps of 1e-4, the critic's last bias none at all
        judged = [n for n in alone.networks.values() if n == "generator" or n.endswith("discriminator")]
        moved = {key: max(v for k, v in moved.items() if k.startswith(key)) for key in judged}
    tolerance = dict(rtol=1e-4, atol=1e-6)
    if name in VOCODERS:  # logarithms of small magnitudes enlarge rounding a hundred times at each step
        tolerance = dict(rtol=1e-4, atol=0.02 * min(moved.values()))
    for rank in ranks:
        torch.testing.assert_close(rank["without_chance"][name], expected, **tolerance)
    if name == "wavegan_wgan":  # clipped at 0.01, a critic this small passes hardly any gradient on
        del moved["generator"]
    if name == "wgan_gp":  # the last bias cancels in Wasserstein's difference
        del moved["discriminator.7.bias"]
    assert min(moved.values()) > 2e-5
    if name == "controlgan":
        assert expected["measure"][0] > 0


def test_controllers_are_equal_on_both_processes(ranks):
    for key in ("gamma", "balance", "measure"):
        one, other = (rank["without_chance"]["controlgan"][key] for rank in ranks)
        assert torch.equal(one, other)


def test_a_process_remembers_its_own_losses_that_are_not_finite(ranks):
    """Images of the second process are infinite in batch 1; the first gets to know by the averaged gradients."""
    assert ranks[1]["nonfinite"] == {"d": 1, "g": 1, "c": 1}
    assert ranks[0]["nonfinite"] == {"d": 2, "g": 1, "c": 2}  # G's loss comes after D's update


@pytest.mark.parametrize("batches", [1, 2])
def test_an_update_sends_the_gradients_of_the_network_in_training_alone(ranks, batches):
    """And sends them once, over however many batches they are accumulated."""
    sizes = ranks[0]["sizes"]
    in_turns = {key: [sizes[key]] * STEPS for key in ("g", "d")}
    all_of_them = {key: [sizes["g"] + sizes["d"]] * STEPS for key in ("g", "d")}
    for rank in ranks:
        assert rank[f"ddp_in_turns of {batches}"] == in_turns
        assert rank[f"ddp of {batches}"] == all_of_them


@pytest.mark.parametrize("strategy", ["ddp", "ddp_in_turns"])
def test_accumulated_gradients_are_the_mean_of_processes_and_batches(ranks, strategy):
    """D's at equal weights; G's meets an updated D in its last batch, of which it is told elsewhere."""
    one, other = (rank[f"{strategy} of 2, first"] for rank in ranks)
    assert torch.equal(one["d"], other["d"]) and torch.equal(one["g"], other["g"])
    torch.testing.assert_close(one["d"], ranks[0]["ddp of 1, first"]["d"], rtol=1e-4, atol=1e-6)


def test_two_processes_with_two_batches_each_equal_one_with_the_joined_batch(ranks):
    expected = state(without_chance("gan", 1)[0])
    for rank in ranks:
        torch.testing.assert_close(rank["accumulated"], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("where", INTERRUPTIONS)
def test_a_resumed_run_of_two_processes_ends_as_if_uninterrupted(ranks, where):
    ends = [rank["interrupted"][INTERRUPTIONS.index(where)] for rank in ranks]
    for straight, resumed, began in ends:
        torch.testing.assert_close(resumed, straight, rtol=0, atol=0)
        assert not torch.equal(began["generator.1.weight"], straight["generator.1.weight"])


@pytest.mark.parametrize(
    "strategy, devices, nodes, ours",
    [
        ("auto", 1, 1, False),
        ("auto", 2, 1, True),
        ("auto", 1, 2, True),
        ("ddp", 1, 1, True),
        ("ddp_in_turns", 2, 1, True),
        ("ddp_spawn", 2, 1, False),
    ],
)
def test_the_command_line_takes_our_strategy_in_place_of_ddp(strategy, devices, nodes, ours):
    chosen = ddp.chosen(strategy, "cpu", devices, nodes)
    assert type(chosen) is DDPInTurnsStrategy if ours else chosen == strategy
    trainer = Trainer(
        accelerator="cpu", devices=devices, num_nodes=nodes, strategy=chosen, logger=False, enable_checkpointing=False
    )
    assert trainer.world_size == devices * nodes


def test_lightnings_own_ddp_stays_its_own():
    importlib.import_module("lightning_gans.cli.train")
    assert StrategyRegistry["ddp"]["strategy"] is DDPStrategy
    assert not [name for name in StrategyRegistry if "turns" in name]


def run_nodes(folder: Path, *options: list[str]) -> list[tuple[int, str]]:
    """Exit codes and messages of nodes with a process each, which torchrun joins; options of each node."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nnodes={len(options)}", "--nproc-per-node=1"]
    torchrun += ["--master-addr=127.0.0.1", f"--master-port={port}"]
    fit = ["-m", "lightning_gans", "fit", *SMALL, f"--trainer.num_nodes={len(options)}", "--trainer.devices=1"]
    running = [
        subprocess.Popen(
            [*torchrun, f"--node-rank={node}", *fit, *mine],
            cwd=folder,
            env=environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        for node, mine in enumerate(options)
    ]
    try:
        said = [process.communicate(timeout=180)[1] for process in running]
        return [(process.returncode, text) for process, text in zip(running, said, strict=True)]
    finally:
        for process in running:
            process.kill()


@pytest.mark.slow
def test_two_nodes_by_torchrun_equal_two_processes_of_one(tmp_path):
    """Of a batch that the processes share."""
    options = ["--run.mode=disabled", "--ckpt_path=last"]
    for code, errors in run_nodes(tmp_path, *[[*options, "--run.id=nodes", "--global_batch_size=32"]] * 2):
        assert code == 0, errors[-2000:]
    fit = [sys.executable, "-m", "lightning_gans", "fit", *SMALL, *options, "--run.id=processes", "--trainer.devices=2"]
    done = subprocess.run(fit, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    nodes, processes = (
        torch.load(tmp_path / "runs/lightning_gans" / name / "checkpoints/last.ckpt", weights_only=True)
        for name in ("nodes", "processes")
    )
    assert nodes["global_step"] == processes["global_step"] == 6
    assert nodes["samples_seen"] == processes["samples_seen"] == 6 * 32  # SMALL has 16 per process
    torch.testing.assert_close(nodes["state_dict"], processes["state_dict"], rtol=0, atol=0)


@pytest.mark.slow
def test_nodes_that_were_started_with_different_configs_say_so(tmp_path):
    same = ["--run.mode=disabled", "--run.id=nodes"]
    ends = run_nodes(tmp_path, [*same, "--model.lr_d=1e-4"], [*same, "--model.lr_d=2e-4"])
    message = "the configs of the processes differ: model.init_args.lr_d is 0.0001 on rank 0, 0.0002 on rank 1"
    for code, errors in ends:
        assert code and message in errors, errors[-2000:]
