"""Make training sets.

video         videos to a training set, one recording after the other: `hrdepth prepare`
motion        motion between frames, and which frames are selected
calibration   K from a calibration file, EXIF or a field of view
framing       undistorting, cropping or letterboxing, resizing; K follows
masks         regions that never move
recording     manifest, camera, mask and lists beside the frames
preset        the training config of a prepared set
cache         decoded images: `hrdepth prepare cache`
hints         depth hints by geometry: `hrdepth prepare hints`, with structure and multiview
published     KITTI and CityScapes: `hrdepth prepare kitti|kitti-odometry|cityscapes`

Importing this needs no OpenCV; preparing videos does.
"""
