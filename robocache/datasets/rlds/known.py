"""What RLDS files do not say: at which rate a dataset was recorded, and what its actions mean.

Rates are those that the configurations of Open X-Embodiment in public training code agree on; action conventions are
those of the same datasets' transforms. Names are matched exactly, without the ending
``_converted_externally_to_rlds``; one that ends in ``*`` stands for all that begin so, and the longest such wins.
"""

import math
from dataclasses import dataclass

from ..._core.errors import ArgumentError
from ..facts import ActionSpec

ENDING = "_converted_externally_to_rlds"


@dataclass(frozen=True)
class Known:
    """What is known of a dataset by its name."""

    control_hz: float | None = None
    action: ActionSpec | None = None


_RATES = {
    1.0: "robo_net uiuc_d3field",
    2.0: "ucsd_kitchen_dataset",
    3.0: "fractal20220817_data nyu_door_opening_surprising_effectiveness nyu_rot_dataset nyu_franka_play_dataset "
    "ucsd_pick_and_place_dataset berkeley_gnm_recon",
    3.75: "dobbe",
    5.0: "bridge bridge_oxe bridge_orig bridge_dataset bridge_data_v2 berkeley_autolab_ur5 berkeley_mvp "
    "berkeley_gnm_cory_hall dlr_edan_shared_control stanford_robocook cmu_play_fusion roboset tdroid_*",
    10.0: "kuka jaco_play berkeley_cable_routing roboturk language_table language_table_* "
    "columbia_cairlab_pusht_real stanford_hydra_dataset furniture_bench_dataset cmu_franka_exploration_dataset bc_z "
    "utokyo_pr2_opening_fridge utokyo_pr2_tabletop_manipulation utokyo_xarm_pick_and_place utokyo_xarm_bimanual "
    "kaist_nonprehensile tokyo_u_lsmo dlr_sara_pour dlr_sara_grid_clamp imperialcollege_sawyer_wrist_cam "
    "berkeley_fanuc_manipulation berkeley_gnm_sac_son cmu_playing_with_food cmu_stretch fmb_dataset fmb rh20t",
    12.5: "asu_table_top",
    15.0: "taco_play droid droid_100 droid_wipe",
    20.0: "viola austin_buds_dataset austin_sailor_dataset austin_sirius_dataset stanford_kuka_multimodal_dataset "
    "maniskill_dataset iamlab_cmu_pickup_insert utaustin_mutex libero_*",
    30.0: "toto berkeley_rpt",
}

_LAST = "where is_last is set and is_terminal is not, the last action means nothing"


def _spec(representation: str, note: str, **fields: object) -> ActionSpec:
    return ActionSpec(representation, last_valid=False, note=f"{note}; {_LAST}", **fields)  # type: ignore[arg-type]


_KEPT = _spec(
    "ee_pose", "world_vector in m, rotation_delta in rad; gripper_closedness_action is relative: 1 closes, -1 opens, "
    "0 keeps what it was", relative=True, gripper=(1.0, -1.0),
)  # fmt: skip
_BRIDGE = _spec(
    "ee_pose", "x y z roll pitch yaw in m and rad, gripper between 0 and 1; the first action of an episode is zero",
    relative=True, rotation="euler_xyz", gripper=(0.0, 1.0), frame="base",
)  # fmt: skip
_DROID = _spec(
    "joint", "action holds joint velocities and the gripper; action_dict the other forms", gripper=(1.0, 0.0)
)
_ACTIONS = {
    "fractal20220817_data": _KEPT,
    "kuka": _KEPT,
    "jaco_play": _KEPT,
    "nyu_door_opening_surprising_effectiveness": _KEPT,
    "bridge": _spec(
        "ee_pose", "world_vector, rotation_delta; open_gripper is a bool", relative=True, gripper=(0.0, 1.0)
    ),
    "bridge_dataset": _BRIDGE,
    "bridge_orig": _BRIDGE,
    "bridge_data_v2": _BRIDGE,
    "taco_play": _spec(
        "ee_pose",
        "rel_actions_world as CALVIN has it: 1 is 2 cm or 0.05 rad",
        relative=True,
        rotation="euler_xyz",
        gripper=(-1.0, 1.0),
        frame="base",
    ),
    "droid": _DROID,
    "droid_100": _DROID,
    "language_table": _spec("planar", "x and y of the effector", relative=True),
}

_registered: dict[str, Known] = {}
_built_in = {name: Known(rate, _ACTIONS.get(name)) for rate, names in _RATES.items() for name in names.split()}


def register_dataset(name: str, *, control_hz: float | None = None, action: ActionSpec | None = None) -> None:
    """Say what RLDS files cannot: the rate of a dataset and the meaning of its actions.

    Parameters
    ----------
    name : str
        As in ``dataset_info.json``; with ``*`` at its end it stands for all names that begin so. It comes before
        what is built in, and a name that was registered before is replaced.
    control_hz : float, optional
        Steps a second.
    action : ActionSpec, optional

    Raises
    ------
    ArgumentError
        An empty name, a ``*`` elsewhere, or no positive finite rate.
    """
    if not name or "*" in name[:-1]:
        raise ArgumentError(f"name: expected a name, or the beginning of one and *, got {name!r}")
    if control_hz is not None and not 0 < control_hz < math.inf:
        raise ArgumentError(f"control_hz: expected hertz, got {control_hz!r}")
    _registered[name.removesuffix(ENDING)] = Known(control_hz, action)


def lookup(name: str) -> Known | None:
    """What is known of a dataset of this name."""
    short = name.removesuffix(ENDING)
    for table in (_registered, _built_in):
        if short in table:
            return table[short]
        fit = [key for key in table if key.endswith("*") and short.startswith(key[:-1])]
        if fit:
            return table[max(fit, key=len)]
    return None


__all__ = ["Known", "lookup", "register_dataset"]
