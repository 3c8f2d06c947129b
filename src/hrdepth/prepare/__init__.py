"""From any video to a training set.

video         one recording after the other: what `hrdepth prepare` does
motion        how two frames differ
selection     which frames are kept, which are held out
cameras       K from a file, EXIF, a field of view; calibration reads the files
framing       undistorted, cropped or letterboxed, resized; K follows
masks         what never moves
recording     camera, mask and lists beside the frames
manifest      what a recording knows of itself; verified by it
preset        the training config of a prepared set

Importing this needs no OpenCV; preparing does.
"""
