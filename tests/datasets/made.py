"""Synthetic sets in the very layouts of robomimic, DROID raw, CALVIN and Bridge raw; no real ones may be shipped."""

import json
import pickle
from pathlib import Path

import numpy as np

ENV = {
    "env_name": "Lift",
    "env_type": 1,
    "env_version": "1.4.1",
    "env_kwargs": {
        "control_freq": 20,
        "controller_configs": {"type": "OSC_POSE", "control_delta": True, "output_max": [0.05] * 3 + [0.5] * 3},
    },
}


def robomimic(path, lengths=(5, 3, 4), *, compress=False, env=ENV, numbers=None, raw=False, seed=0, **options):
    """A file of demonstrations; ``numbers`` are those in their names. ``raw``: only states and actions."""
    import h5py

    rng = np.random.default_rng(seed)
    packed = {"compression": "gzip"} if compress else {}
    with h5py.File(path, "w", **options) as file:
        data = file.create_group("data")
        for number, n in zip(numbers or range(len(lengths)), lengths):
            demo = data.create_group(f"demo_{number}")
            demo.create_dataset("actions", data=rng.uniform(-1, 1, (n, 7)))
            demo.create_dataset("states", data=rng.standard_normal((n, 32)))
            demo.attrs["model_file"] = f"<mujoco model='{number}'/>"
            if raw:
                continue
            demo.create_dataset("rewards", data=rng.random(n))
            demo.create_dataset("dones", data=(np.arange(n) == n - 1).astype(np.int64))
            demo.create_dataset("actions_abs", data=rng.standard_normal((n, 7)).astype(np.float32))
            demo.create_dataset("action_dict/abs_pos", data=rng.standard_normal((n, 3)).astype(">f4"))
            for group in ("obs", "next_obs"):
                for key, shape in (("robot0_eef_pos", (3,)), ("robot0_eef_quat", (4,)), ("object", (10,))):
                    demo.create_dataset(f"{group}/{key}", data=rng.standard_normal((n, *shape)), **packed)
                image = rng.integers(0, 256, (n, 12, 10, 3), np.uint8)
                demo.create_dataset(f"{group}/agentview_image", data=image, **packed)
                demo.create_dataset(f"{group}/agentview_depth", data=rng.random((n, 12, 10, 1), np.float32), **packed)
            demo.attrs["num_samples"] = n
            demo.attrs["ep_meta"] = json.dumps({"lang": f"lift number {number}"})
        data.attrs["total"] = sum(lengths)
        data.attrs["env_args"] = json.dumps(env, indent=4)
        if not raw:
            names = [f"demo_{number}" for number in (numbers or range(len(lengths)))]
            file.create_dataset("mask/train", data=np.array(names[:-1], dtype="S"))
            file.create_dataset("mask/valid", data=np.array(names[-1:], dtype="S"))
    return path


SERIALS = ("11111111", "22222222")
START_MS = 1_690_000_000_123


def _append(group, values):
    """One step, by the create and resize calls of the recorder."""
    for key, value in values.items():
        if isinstance(value, dict):
            _append(group.require_group(key), value)
            continue
        array = isinstance(value, np.ndarray)
        shape, dtype = (value.shape, value.dtype) if array else ((), type(value))
        if key not in group:
            group.create_dataset(key, (1, *shape), maxshape=(None, *shape), dtype=dtype)
        else:
            group[key].resize(group[key].shape[0] + 1, axis=0)
        group[key][-1] = value


def droid_step(t, rng):
    now = START_MS + 67 * t
    state = lambda: {  # noqa: E731
        "cartesian_position": rng.standard_normal(6), "gripper_position": float(rng.random()),
        "joint_positions": rng.standard_normal(7), "joint_velocities": rng.standard_normal(7),
    }  # fmt: skip
    cameras = {}
    for i, serial in enumerate(SERIALS):
        cameras |= {f"{serial}_read_start": now + 2, f"{serial}_frame_received": now + 9 + i}
        cameras |= {f"{serial}_estimated_capture": now - 20 + i, f"{serial}_read_end": now + 12}
    observation = {
        "robot_state": state(),
        "timestamp": {
            "robot_state": {
                "robot_timestamp_seconds": 1_690_000_000 + t // 15,
                "robot_timestamp_nanos": 1 + (t % 15) * 66_666_667, "read_start": now + 1, "read_end": now + 3,
            },
            "cameras": cameras,
            "control": {
                "step_start": now, "policy_start": now + 20, "sleep_start": now + 30,
                "control_start": now + 40, "step_end": now + 60,
            },
            "skip_action": bool(t % 2),
        },
        "camera_type": dict.fromkeys(SERIALS, 1),
        "camera_extrinsics": {f"{serial}_left": rng.standard_normal(6) for serial in SERIALS},
        "camera_intrinsics": {f"{serial}_left": rng.standard_normal((3, 3)) for serial in SERIALS},
        "controller_info": {"success": t == 3, "failure": False, "movement_enabled": True},
    }  # fmt: skip
    action = {
        "cartesian_position": rng.standard_normal(6), "joint_position": rng.standard_normal(7),
        "joint_velocity": rng.standard_normal(7), "gripper_position": float(rng.random()), "robot_state": state(),
    }  # fmt: skip
    return {"observation": observation, "action": action}


def droid(top, lengths=(4, 6), *, videos=False, seed=0):
    """Episodes in ``<lab>/success/<date>/<time>`` and one in ``failure``."""
    import h5py

    rng = np.random.default_rng(seed)
    for i, n in enumerate(lengths):
        outcome = "failure" if i % 2 else "success"
        folder = Path(top) / "LAB" / outcome / "2023-07-22" / f"Sat_Jul_22_0{i}:00:00_2023"
        (folder / "recordings" / "MP4").mkdir(parents=True)
        (folder / "recordings" / "SVO").mkdir()
        (folder / "recordings" / "SVO" / f"{SERIALS[0]}.svo").write_bytes(b"svo")
        with h5py.File(folder / "trajectory.h5", "w") as file:
            for t in range(n):
                _append(file, droid_step(t, rng))
            file.attrs["current_task"] = f"put marker {i} in the pot"
            file.attrs["building"], file.attrs["scene_id"] = "AI2", 1234567890
            file.attrs["success"], file.attrs["robot_serial_number"] = not i % 2, "295341-1325480"
        meta = {"uuid": f"LAB+{i}", "success": not i % 2, "trajectory_length": n, "wrist_cam_serial": SERIALS[1]}
        (folder / f"metadata_LAB+{i}.json").write_text(json.dumps(meta))
        if videos:
            for serial in SERIALS:
                video(folder / "recordings" / "MP4" / f"{serial}.mp4", n)
    return Path(top)


def video(path, frames, size=(32, 48)):
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=15)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for t in range(frames):
            picture = np.full((*size, 3), 20 * t, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


CALVIN = {
    "rgb_static": ((20, 20, 3), np.uint8), "rgb_gripper": ((8, 8, 3), np.uint8), "rgb_tactile": ((16, 12, 6), np.uint8),
    "depth_static": ((20, 20), np.float32), "depth_gripper": ((8, 8), np.float32),
    "depth_tactile": ((16, 12, 2), np.float32), "actions": ((7,), np.float64), "rel_actions": ((7,), np.float64),
    "robot_obs": ((15,), np.float64), "scene_obs": ((24,), np.float64),
}  # fmt: skip


def calvin_frame(rng):
    return {
        key: rng.integers(0, 256, shape, dtype) if dtype is np.uint8 else rng.standard_normal(shape).astype(dtype)
        for key, (shape, dtype) in CALVIN.items()
    }


def calvin(top, bounds=((53, 58), (100, 103)), *, windows=((54, 57), (53, 58), (100, 103)), seed=0):
    """``training`` as given, and ``validation`` with one episode."""
    rng = np.random.default_rng(seed)
    for name, parts in (("training", bounds), ("validation", ((7, 9),))):
        folder = Path(top) / name
        (folder / "lang_annotations").mkdir(parents=True)
        for first, last in parts:
            for number in range(first, last + 1):
                np.savez_compressed(folder / f"episode_{number:07d}.npz", **calvin_frame(rng))
        np.save(folder / "ep_start_end_ids.npy", np.array(parts))
        np.save(folder / "ep_lens.npy", np.array([b - a + 1 for a, b in parts]))
        np.save(folder / "scene_info.npy", {"calvin_scene_A": [parts[0][0], parts[-1][1]]})
        (folder / "statistics.yaml").write_text("robot_obs:\n  - _target_: calvin_agent.NormalizeVector\n")
        spoken = windows if name == "training" else ((7, 9),)
        language = {
            "language": {
                "ann": [f"open the drawer {i}" for i in range(len(spoken))],
                "task": ["open_drawer"] * len(spoken),
                "emb": rng.standard_normal((len(spoken), 1, 384)).astype(np.float32),
            },
            "info": {"episodes": [], "indx": [tuple(window) for window in spoken]},
        }
        np.save(folder / "lang_annotations" / "auto_lang_ann.npy", language)
    return Path(top)


def bridge(top, lengths=(4, 3), *, day="2021-08-01", protocol=pickle.DEFAULT_PROTOCOL, size=(24, 32), seed=0):
    """Trajectories of one recording."""
    import simplejpeg
    from PIL import Image

    rng = np.random.default_rng(seed)
    recording = Path(top) / "toykitchen1" / "pot_to_sink" / "00" / f"{day}_10-11-12"
    for i, n in enumerate(lengths):
        folder = recording / "raw" / "traj_group0" / f"traj{i + 9}"
        for name in ("images0", "images1", "depth_images0"):
            (folder / name).mkdir(parents=True)
            for t in range(n):
                if name.startswith("depth"):
                    depth = rng.integers(0, 65536, size, np.uint16)
                    Image.fromarray(depth).save(folder / name / f"im_{t}.png")
                else:
                    picture = simplejpeg.encode_jpeg(rng.integers(0, 256, (*size, 3), np.uint8), 90)
                    (folder / name / f"im_{t}.jpg").write_bytes(picture)
        observed = {
            "full_state": rng.standard_normal((n, 7)), "time_stamp": 1627812672.25 + 0.2 * np.arange(n),
            "qpos": rng.standard_normal((n, 6)), "env_done": [False] * n, "high_bound": rng.standard_normal((n, 5)),
        }  # fmt: skip
        policy = [{"actions": rng.standard_normal(7), "policy_type": "VRTeleopPolicy"} for _ in range(n - 1)]
        for name, value in (("obs_dict", observed), ("policy_out", policy), ("agent_data", {"traj_ok": True})):
            (folder / f"{name}.pkl").write_bytes(pickle.dumps(value, protocol))
        (folder / "lang.txt").write_text(f"put pot {i} in sink\nconfidence: 0.75\n")
    (recording / "collection_metadata.json").write_text(json.dumps({"robot": "widowx", "camera_type": "Logitech C920"}))
    (recording / "config.json").write_text(json.dumps({"agent": {"T": 50}}))
    return Path(top)
